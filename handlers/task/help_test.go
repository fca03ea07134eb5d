package task_test

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB) *sql.DB {
	tb.Helper()
	db := sqlitetest.Migrate(tb, sqlitetest.Open(tb))
	_, err := db.Exec("CREATE TABLE sent (item TEXT NOT NULL)")
	must(tb, err)
	return db
}

// bench is a queue on virtual time.
type bench struct {
	*task.Queue
	t     *testing.T
	db    *sql.DB
	began time.Time

	mu     sync.Mutex
	alerts []alert.Alert
	calls  []time.Duration // since it began
}

func (b *bench) Emit(a alert.Alert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alerts = append(b.alerts, a)
}

func (b *bench) told() []alert.Alert {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.alerts)
}

func (b *bench) called() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

func inBubble(t *testing.T, cfg task.Config, fn func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, db: open(t), began: time.Now()}
		cfg.Now, cfg.Alerts = time.Now, b
		if cfg.Jitter == 0 {
			cfg.Jitter = task.NoJitter
		}
		q, err := task.New(b.db, "invoice", cfg)
		must(t, err)
		b.Queue = q
		fn(t, b)
	})
}

// add commits tasks.
func (b *bench) add(specs ...task.Spec) {
	b.t.Helper()
	tx, err := b.db.Begin()
	must(b.t, err)
	for _, s := range specs {
		if added, err := b.Add(b.t.Context(), tx, s); err != nil || !added {
			b.t.Fatalf("add %q: %v, %v", s.Key, added, err)
		}
	}
	must(b.t, tx.Commit())
	b.Wake()
}

// start runs fn, and notes when it is called.
func (b *bench) start(fn task.Func) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Run(ctx, func(ctx context.Context, t task.Task) task.Outcome {
			b.mu.Lock()
			b.calls = append(b.calls, time.Since(b.began).Round(time.Second))
			b.mu.Unlock()
			return fn(ctx, t)
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// only returns the one task with the status.
func (b *bench) only(status task.Status) task.Task {
	b.t.Helper()
	list, err := b.List(b.t.Context(), task.Filter{Status: status})
	must(b.t, err)
	if len(list) != 1 {
		b.t.Fatalf("%d tasks are %s, want one", len(list), status)
	}
	return list[0]
}

func (b *bench) sent(want int) {
	b.t.Helper()
	var n int
	must(b.t, b.db.QueryRow("SELECT COUNT(*) FROM sent").Scan(&n))
	if n != want {
		b.t.Errorf("%d rows are marked as sent, want %d", n, want)
	}
}

func mark(key string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO sent VALUES (?)", key)
		return err
	}
}
