package callback_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// copyService copies classrooms and calls back.
func copyService(secret string, callbacks *string, answers chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := r.Header.Get("Idempotency-Key")
		w.WriteHeader(http.StatusAccepted)
		go func() {
			body := fmt.Appendf(nil, `{"number": %q, "status": "succeeded", "data": {"room": 8}}`, number)
			signer, err := webhook.NewSigner(secret)
			if err != nil {
				log.Fatal(err)
			}
			request, err := http.NewRequest(http.MethodPost, *callbacks, bytes.NewReader(body))
			if err != nil {
				log.Fatal(err)
			}
			if request.Header, err = signer.Header("msg_1", time.Now(), body); err != nil {
				log.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				log.Fatal(err)
			}
			said, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			answers <- fmt.Sprintf("%d %s", answer.StatusCode, bytes.TrimSpace(said))
		}()
	})
}

// A classroom is copied by a service that calls back.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	secret, callbacks, answers := webhook.NewSecret(), "", make(chan string, 1)
	service := httptest.NewServer(copyService(secret, &callbacks, answers))
	defer service.Close()

	caller, err := callback.New(db, box, callback.Config{
		Service:      "copy",
		Keys:         []string{secret},
		QueryURL:     service.URL + "/copies/{number}", // asked every five minutes
		AllowPrivate: true,                             // the service is on this machine
	})
	if err != nil {
		log.Fatal(err)
	}
	ours := httptest.NewServer(caller) // mux.Handle("POST /callbacks/copy", caller)
	defer ours.Close()
	callbacks = ours.URL
	stopped := make(chan error, 1)
	go func() { stopped <- caller.Run(ctx) }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	number, err := caller.Submit(ctx, tx, callback.Call{Number: "copy-7", Kind: "copy_classroom", URL: service.URL + "/copies", Body: []byte(`{"room": 7}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	caller.Wake() // it is sent now, and never before

	fmt.Println("the service was answered:", <-answers)
	stop()
	if err := <-stopped; err != nil {
		log.Fatal(err)
	}
	view, err := caller.Get(context.Background(), number)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(view.Number, view.Status, "by", view.Source, string(view.Result.Data))
	// Output:
	// the service was answered: 200 {"status":"applied"}
	// copy-7 succeeded by callback {"room": 8}
}
