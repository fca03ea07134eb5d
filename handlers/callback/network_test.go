package callback_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/logtest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// world is a Caller that runs on real connections.
type world struct {
	*callback.Caller
	db    *sql.DB
	facts chan callback.Fact
	log   *logtest.Buffer
}

func newWorld(t *testing.T, cfg callback.Config) *world {
	t.Helper()
	w := &world{db: sqlitetest.Migrate(t, sqlitetest.Open(t)), facts: make(chan callback.Fact, 100), log: &logtest.Buffer{}}
	box, err := forwarder.New(w.db, forwarder.Config{})
	must(t, err)
	cfg.Keys, cfg.Observe, cfg.Logger = []string{webhook.NewSecret()}, func(f callback.Fact) { w.facts <- f }, slog.New(slog.NewTextHandler(w.log, nil))
	w.Caller, err = callback.New(w.db, box, cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// other returns a Caller on another database that allows what w allows.
func (*world) other(t *testing.T, db *sql.DB) *callback.Caller {
	t.Helper()
	c, err := callback.New(db, &failing{}, callback.Config{Keys: []string{webhook.NewSecret()}, AllowPrivate: true})
	must(t, err)
	return c
}

func (w *world) submit(t *testing.T, call callback.Call) callback.Fact {
	t.Helper()
	return submit(t, w.Caller, w, call)
}

// submit submits a call to w by way of a Caller, and returns the first fact about it.
func submit(t *testing.T, by *callback.Caller, w *world, call callback.Call) callback.Fact {
	t.Helper()
	tx, err := w.db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = by.Submit(t.Context(), tx, call)
	must(t, err)
	must(t, tx.Commit())
	w.Wake()
	select {
	case f := <-w.facts:
		return f
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened")
		return callback.Fact{}
	}
}

func TestTheRequestIsWhatWasSubmitted(t *testing.T) {
	type seen struct{ method, path, body, key, kind, auth, agent string }
	got := make(chan seen, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		got <- seen{
			r.Method, r.URL.RequestURI(), b.String(), r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), "",
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	w := newWorld(t, callback.Config{AllowPrivate: true, Authorize: func(r *http.Request, body []byte) error {
		r.Header.Set("Authorization", "Bearer canary-1 "+string(body))
		return nil
	}})
	f := w.submit(t, callback.Call{
		Number: "n-1", URL: server.URL + "/copies?a=1", Method: http.MethodPut, Body: []byte("room 7"), Header: map[string]string{"content-type": "text/plain"},
	})
	if f.Kind != callback.KindSent || f.Number != "n-1" || f.Service != "default" {
		t.Errorf("told %+v", f)
	}
	if want := (seen{http.MethodPut, "/copies?a=1", "room 7", "n-1", "text/plain", "Bearer canary-1 room 7", ""}); <-got != want {
		t.Errorf("the request was another, want %+v", want)
	}
	var stored string
	must(t, w.db.QueryRowContext(t.Context(), "SELECT headers || error || url FROM sluicegate_call").Scan(&stored))
	if strings.Contains(stored+w.log.String(), "canary-1") {
		t.Errorf("the credentials are in %q or %q", stored, w.log)
	}
}

func TestNoRedirectIsFollowedAndNoPrivateAddressReached(t *testing.T) {
	var inner atomic.Int64
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inner.Add(1) }))
	defer private.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(private.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()

	open := newWorld(t, callback.Config{AllowPrivate: true})
	if f := open.submit(t, callback.Call{URL: redirecting.URL + "/?token=canary-2"}); f.Kind != callback.KindSendFailed || !strings.Contains(f.Err.Error(), "307") {
		t.Errorf("told %+v, want a failure by status 307", f)
	}
	// The URL may have become what it is after it was looked at: what counts is the
	// address that is dialled.
	closed := newWorld(t, callback.Config{})
	f := submit(t, open.other(t, closed.db), closed, callback.Call{Number: "n", URL: private.URL + "/?token=canary-2"})
	if f.Kind != callback.KindSendFailed {
		t.Errorf("told %+v, want a failure", f)
	}
	if inner.Load() != 0 {
		t.Error("the private server was reached")
	}
	v, err := closed.Get(t.Context(), "n")
	must(t, err)
	if !strings.Contains(v.Error, "not allowed") || strings.Contains(v.Error+open.log.String()+closed.log.String()+f.Err.Error(), "canary-2") {
		t.Errorf("its error is %q; logged %q %q", v.Error, open.log, closed.log)
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	w := newWorld(t, callback.Config{AllowPrivate: true, MaxBody: 10_000})
	if f := w.submit(t, callback.Call{URL: server.URL}); f.Kind != callback.KindSendFailed || !strings.Contains(f.Err.Error(), "10000 bytes") {
		t.Errorf("told %+v, want that the answer is too large", f)
	}
}

func TestAnAnswerThatDoesNotComeIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	w := newWorld(t, callback.Config{AllowPrivate: true, Timeout: 50 * time.Millisecond})
	if f := w.submit(t, callback.Call{URL: server.URL}); f.Kind != callback.KindSendFailed {
		t.Errorf("told %+v, want a failure", f)
	}
}
