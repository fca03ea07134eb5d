package sluicegatetest

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Config of a Harness. The zero value is ready for use.
type Config struct {
	// DB is a database to use in place of a temporary SQLite. It must have been opened
	// in the bubble of the test, stays the caller's to close, and gets the tables of
	// Sluicegate.
	DB *sql.DB
	// Tables are statements that make the tables of the handlers. Default: none.
	Tables []string
	// Stack configures the Stack. Its Observe and Alerts are told as well; Park.Now and
	// Park.PollMax have defaults for virtual time, and Retain is off.
	Stack sluicegate.Config
	// ShowPayloads has failures print the bytes of messages. Default: their number.
	ShowPayloads bool
}

// Harness is a Stack in a test. Its methods are for the test's own goroutine, but
// those of Ledger are safe for concurrent use. Everything ends with the test.
type Harness struct {
	// DB is the database. With SQLite it has one connection.
	DB *sql.DB
	// Outbox writes to it, for the code under test.
	Outbox *forwarder.Outbox

	tb       testing.TB
	cfg      Config
	dialect  sqldialect.Dialect
	names    sqldialect.Names
	seen     record
	relayed  []outboxRow
	handlers []*Handler
	beside   []func(context.Context) error

	stack *sluicegate.Stack
	stop  func() // nil while nothing runs
}

// New returns a harness on a migrated database. Handle and what delivers
// need the bubble of synctest.Test; the outbox can be looked at without one.
// What is wrong ends the test.
func New(tb testing.TB, cfg Config) *Harness {
	tb.Helper()
	h := &Harness{tb: tb, cfg: cfg, DB: cfg.DB}
	if h.DB == nil {
		h.DB = openSQLite(tb)
	}
	s := &h.cfg.Stack
	h.names = sqldialect.Names{Schema: s.Schema, Prefix: s.Prefix}
	var err error
	if h.dialect, err = sqldialect.Configure("Config.Stack", h.DB, s.Dialect, h.names); err != nil {
		tb.Fatalf("sluicegatetest: %v", err)
	}
	h.seen.observe, h.seen.alerts = s.Observe, s.Alerts
	s.Observe, s.Alerts = h.seen.event, &h.seen
	if s.Store != nil {
		s.Store = mortal{s.Store}
	}
	s.Retain.Off = true
	if s.Park.Now == nil {
		s.Park.Now = time.Now
	}
	if s.Park.PollMax == 0 {
		s.Park.PollMax = 30 * time.Second
	}
	ctx := context.Background()
	if _, err := schema.Up(ctx, h.DB, h.dialect, h.names); err != nil {
		tb.Fatalf("sluicegatetest: migrate: %v", err)
	}
	for _, statement := range cfg.Tables {
		h.Exec(statement)
	}
	h.Outbox, err = forwarder.New(h.DB, forwarder.Config{Dialect: h.dialect, Schema: s.Schema, Prefix: s.Prefix})
	if err != nil {
		tb.Fatalf("sluicegatetest: %v", err)
	}
	tb.Cleanup(h.end)
	return h
}

// Exec runs a statement on the database, outside of any transaction.
func (h *Harness) Exec(statement string, args ...any) {
	h.tb.Helper()
	if _, err := h.DB.ExecContext(context.Background(), h.dialect.Bind(statement), args...); err != nil {
		h.tb.Fatalf("sluicegatetest: execute: %v", err)
	}
}

// Go has fn run beside the Stack, from the first delivery or Advance on until the test
// ends: the worker of a kit. Restart ends and starts it too. An error of it fails the test.
func (h *Harness) Go(fn func(ctx context.Context) error) {
	h.tb.Helper()
	if h.stop != nil {
		h.tb.Fatalf("sluicegatetest: Go comes after the first delivery")
	}
	h.beside = append(h.beside, fn)
}

// Advance lets d pass, with all that becomes due meanwhile, and returns when
// everything waits again.
func (h *Harness) Advance(d time.Duration) {
	h.tb.Helper()
	h.start()
	<-time.After(d)
	synctest.Wait()
}

// Restart stops the Stack as a deployment does, and starts another on the same database
// with the same handlers: what is parked must have survived it.
func (h *Harness) Restart() {
	h.tb.Helper()
	h.start()
	h.end()
	h.start()
}

// Stack returns the Stack that runs, which Restart replaces.
func (h *Harness) Stack() *sluicegate.Stack {
	h.tb.Helper()
	h.start()
	return h.stack
}

// inBubble reports whether the caller is in a bubble of testing/synctest.
func inBubble() (ok bool) {
	defer func() { ok = recover() == nil }()
	synctest.Wait()
	return
}

// start runs a Stack with all handlers, unless one runs.
func (h *Harness) start() {
	h.tb.Helper()
	if h.stop != nil {
		return
	}
	if !inBubble() {
		h.tb.Fatalf("sluicegatetest: not on virtual time: run the test in synctest.Test(t, func(t *testing.T) { … }), with New in it")
	}
	stack, err := sluicegate.New(h.DB, h.cfg.Stack)
	if err != nil {
		h.tb.Fatalf("sluicegatetest: Config.Stack: %v", err)
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		h.tb.Fatalf("sluicegatetest: %v", err)
	}
	router.AddMiddleware(afterCommit)
	for _, on := range h.handlers {
		on.source = newSource()
		if err := on.install(stack, router, on.source); err != nil {
			h.tb.Fatalf("sluicegatetest: %v", err)
		}
	}
	h.stack, h.stop = stack, h.launch(stack, router)
	synctest.Wait()
}

// launch runs all that runs, and returns what stops it.
func (h *Harness) launch(stack *sluicegate.Stack, router *message.Router) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	all := append([]func(context.Context) error{func(ctx context.Context) error {
		return run(ctx, stack, router, len(h.handlers) > 0)
	}}, h.beside...)
	ended := make(chan error, len(all))
	for _, fn := range all {
		go func() { ended <- fn(ctx) }()
	}
	if len(h.handlers) > 0 {
		<-router.Running()
	}
	return func() {
		cancel()
		for range all {
			if err := <-ended; err != nil {
				h.tb.Errorf("sluicegatetest: it did not stop cleanly: %v", err)
			}
		}
	}
}

// run runs a stack; a router without handlers would end at once.
func run(ctx context.Context, stack *sluicegate.Stack, router *message.Router, handlers bool) error {
	if !handlers {
		<-ctx.Done()
		return nil
	}
	return stack.Run(ctx, router)
}

func (h *Harness) end() {
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// source is the subscriber that a handler gets its deliveries from.
type source struct {
	out  chan *message.Message
	once sync.Once
	ctx  context.Context // that of the subscription, which messages derive from
}

func newSource() *source { return &source{out: make(chan *message.Message)} }

// Subscribe is called once, by the router.
func (s *source) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	s.ctx = ctx
	return s.out, nil
}

// Close ends the subscription.
func (s *source) Close() error {
	s.once.Do(func() { close(s.out) })
	return nil
}
