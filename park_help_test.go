package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// shop is a handler whose messages are parked, in virtual time, over any number
// of starts of its process.
type shop struct {
	t     *testing.T
	db    *sql.DB
	b     *broker.Broker
	cfg   sluicegate.Config
	seen  events
	rings recorder
	fail  func(ctx context.Context, msg *message.Message) error // nil: it succeeds
	begun time.Time

	mu    sync.Mutex
	calls map[string][]time.Duration // since begun, by UUID
	order []string

	stack *sluicegate.Stack
	stop  func() error
}

// strong are the stores of each strength; the records of Claimed outlive a restart
// as those of Redis do.
var strong = map[string]func() idempotency.Store{
	"sql":     func() idempotency.Store { return nil },
	"claimed": func() idempotency.Store { return memorystore.New() },
}

// parking runs a test under both strengths in virtual time.
func parking(t *testing.T, cfg sluicegate.Config, test func(s *shop)) {
	for name, open := range strong {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := cfg
				cfg.Store = open()
				s := newShop(t, cfg)
				test(s)
				if err := s.stop(); err != nil {
					t.Error(err)
				}
				_ = s.b.Close()
				_ = s.db.Close()
			})
		})
	}
}

func newShop(t *testing.T, cfg sluicegate.Config) *shop {
	s := &shop{t: t, db: openDB(t), b: openMemory(t), cfg: cfg, begun: time.Now(), calls: map[string][]time.Duration{}}
	s.cfg.Observe, s.cfg.Alerts, s.cfg.Park.Now = s.seen.observe, &s.rings, time.Now
	s.cfg.Park.PollMax = 30 * time.Second
	s.fail = func(context.Context, *message.Message) error { return errors.New("the warehouse says no") }
	s.start()
	return s
}

// start is a process: a stack and a router of its own on the same database.
func (s *shop) start() {
	s.t.Helper()
	stack, err := sluicegate.New(s.db, s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	r := newRouter(s.t)
	err = stack.Handle(r, "stock", "orders", s.b.Group("stock"), s.handle)
	if err != nil {
		s.t.Fatal(err)
	}
	s.stack, s.stop = stack, running(s.t, stack, r)
}

func (s *shop) restart() {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

func (s *shop) handle(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	s.mu.Lock()
	s.calls[msg.UUID] = append(s.calls[msg.UUID], time.Since(s.begun))
	s.order = append(s.order, msg.UUID)
	s.mu.Unlock()
	if err := insertEffect(ctx, tx, msg); err != nil {
		return err
	}
	return s.fail(ctx, msg)
}

func (s *shop) publish(id string, metadata ...string) {
	s.t.Helper()
	msg := message.NewMessage(id, []byte("bytes of "+id))
	for i := 0; i < len(metadata); i += 2 {
		msg.Metadata.Set(metadata[i], metadata[i+1])
	}
	if err := s.b.Publish("orders", msg); err != nil {
		s.t.Fatal(err)
	}
}

// after lets time pass until d since the beginning.
func (s *shop) after(d time.Duration) {
	<-time.After(d - time.Since(s.begun))
	synctest.Wait()
}

func (s *shop) called(id string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[id])
}

func (s *shop) letters() []deadletter.Letter {
	s.t.Helper()
	store, err := deadletter.SQL(s.db, deadletter.SQLConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := store.List(s.t.Context(), deadletter.Filter{})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *shop) effects(want int) {
	s.t.Helper()
	if n := count(s.t, s.db, "SELECT COUNT(*) FROM effect"); n != want {
		s.t.Errorf("%d effects, want %d", n, want)
	}
}

// tasks counts the parked messages by their status.
func (s *shop) tasks(status string, want int) {
	s.t.Helper()
	if n := count(s.t, s.db, "SELECT COUNT(*) FROM sluicegate_task WHERE status = ?", status); n != want {
		s.t.Errorf("%d tasks are %s, want %d", n, status, want)
	}
}

// schedule checks when the default policy made its attempts: three at once, four
// minutes later, and then every minute. Each may be late by what is slack.
func (s *shop) schedule(calls []time.Duration, want int, slack time.Duration) {
	s.t.Helper()
	if len(calls) != want {
		s.t.Fatalf("%d attempts at %v, want %d", len(calls), calls, want)
	}
	if calls[2] > time.Second {
		s.t.Errorf("the third attempt is at %v, want at once", calls[2])
	}
	for i := 3; i < want; i++ {
		due := time.Minute
		if i == 3 {
			due = 4 * time.Minute
		}
		if wait := calls[i] - calls[i-1]; wait < due-time.Millisecond || wait > due+slack {
			s.t.Errorf("attempt %d came %v after the one before it, want %v", i+1, wait, due)
		}
	}
}
