package schedule_test

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/internal/logtest"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

const queue = "park"

// bench is a schedule in a bubble, whose clock is the bubble's.
type bench struct {
	*schedule.Schedule
	t     *testing.T
	db    *sql.DB
	looks *atomic.Int64 // statements so far: each reads the clock once
	log   *logtest.Buffer
	began time.Time
}

// inBubble runs fn on virtual time.
func inBubble(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, db: sqlitetest.Migrate(t, sqlitetest.Open(t)), looks: &atomic.Int64{}, log: &logtest.Buffer{}, began: time.Now()}
		s, err := schedule.New(b.db, schedule.Config{Now: func() time.Time {
			b.looks.Add(1)
			return time.Now()
		}})
		must(t, err)
		b.Schedule = s
		fn(t, b)
	})
}

func (b *bench) add(specs ...schedule.Spec) {
	b.t.Helper()
	for _, s := range specs {
		s.Queue = queue
		if added, err := b.Add(b.t.Context(), s); err != nil || !added {
			b.t.Fatalf("add %q: %v, %v", s.Key, added, err)
		}
	}
}

// start runs a worker; stop ends it and waits for it.
func (b *bench) start(h schedule.Handler, cfg schedule.WorkerConfig) (w *schedule.Worker, stop func()) {
	b.t.Helper()
	if cfg.Jitter == 0 {
		cfg.Jitter = schedule.NoJitter
	}
	w, err := schedule.NewWorker(b.Schedule, queue, h, cfg)
	must(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(stop)
	return w, stop
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// calls notes when a handler was called.
type calls struct {
	mu    sync.Mutex
	began time.Time
	at    map[string][]time.Duration
}

func (b *bench) calls() *calls { return &calls{began: b.began, at: map[string][]time.Duration{}} }

func (c *calls) note(t schedule.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[t.Key] = append(c.at[t.Key], time.Since(c.began))
}

func (c *calls) of(key string) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.at[key]...)
}

func (c *calls) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at {
		n += len(at)
	}
	return n
}

func again(t schedule.Task, d time.Duration) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: d, Attempts: t.Attempts + 1, Error: "no"}
}

var done = schedule.Outcome{Status: schedule.Done}

// near says whether a call came when it was due: not before, and at once.
func near(got, want time.Duration) bool { return got >= want && got-want <= 200*time.Millisecond }
