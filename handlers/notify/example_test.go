package notify_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	told := make(chan string, 1)
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Webhook-Signature") != "" {
			told <- "told"
		}
	}))
	defer merchant.Close()

	notifier, err := notify.New(db, notify.Config{AllowPrivate: true}) // this merchant is on this machine
	if err != nil {
		log.Fatal(err)
	}
	if err := notifier.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	err = notifier.PutTarget(ctx, notify.Target{Name: "merchant-7", URL: merchant.URL, Secrets: []notify.Secret{notify.NewSecret()}}, "alice")
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- notifier.Run(ctx) }()

	tx, err := db.BeginTx(ctx, nil) // in which the order is set paid
	if err != nil {
		log.Fatal(err)
	}
	_, err = notifier.Enqueue(ctx, tx, notify.Notification{Target: "merchant-7", ID: "order-1", Payload: []byte(`{"paid":true}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	notifier.Wake()
	fmt.Println(<-told)
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		if r, err := notifier.Get(ctx, "merchant-7", "order-1"); err != nil || r.Status == notify.Delivered {
			fmt.Println(r.Status, r.Attempts, err)
			break
		}
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// told
	// delivered 1 <nil>
	// <nil>
}
