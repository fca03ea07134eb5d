package sluicegate_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Watermill's router leaves this one behind when it fails to start.
		goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/message.(*Router).watchAllHandlersStopped.func1"))
}

// openDB returns a migrated SQLite database with a table for effects.
func openDB(t testing.TB) *sql.DB {
	t.Helper()
	db := sqlitetest.Durable(t)
	if err := sluicegate.Migrate(t.Context(), db, sluicegate.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE effect (message TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func count(t testing.TB, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func openMemory(t testing.TB) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), "memory://", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func newRouter(t testing.TB) *message.Router {
	t.Helper()
	r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// events is an observer that counts.
type events struct {
	mu   sync.Mutex
	seen []sluicegate.Event
}

func (e *events) observe(ev sluicegate.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, ev)
}

func (e *events) count(kind any) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.seen {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

// running runs the stack on the router and returns what stops both.
func running(t testing.TB, s *sluicegate.Stack, r *message.Router) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, r) }()
	<-r.Running()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// quick retries without making the test wait.
func quick() retry.Config {
	return retry.Config{Initial: time.Microsecond, Max: time.Microsecond}
}

func insertEffect(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO effect (message) VALUES (?)", msg.UUID)
	return err
}
