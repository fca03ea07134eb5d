package notify_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

func open(t *testing.T, cfg notify.Config) (*notify.Notifier, *sql.DB) {
	t.Helper()
	db := database(t)()
	n, err := notify.New(db, cfg)
	must(t, err)
	return n, db
}

// run runs n until the test ends.
func run(t *testing.T, n *notify.Notifier) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
}

// partner is a real HTTP server.
func partner(t *testing.T, h http.HandlerFunc) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, hits
}

// until waits for a notification to get there.
func until(t *testing.T, n *notify.Notifier, target, id string, there func(notify.Record) bool) notify.Record {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); ; {
		r, err := n.Get(t.Context(), target, id)
		must(t, err)
		if there(r) {
			return r
		}
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("%s of %s stays %s after %d attempts: %s", id, target, r.Status, r.Attempts, r.LastError)
		}
	}
}

func put(t *testing.T, n *notify.Notifier, target notify.Target) {
	t.Helper()
	if target.Secrets == nil {
		target.Secrets = []notify.Secret{notify.NewSecret()}
	}
	must(t, n.PutTarget(t.Context(), target, "ops"))
}

func enqueue(t *testing.T, n *notify.Notifier, target, id string) {
	t.Helper()
	if _, err := n.Notify(t.Context(), notify.Notification{Target: target, ID: id, Payload: []byte(`{"id":"` + id + `"}`)}); err != nil {
		t.Fatal(err)
	}
}
