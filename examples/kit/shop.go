package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite" // the driver

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory" // memory://
	"github.com/sluicegate/sluicegate/examples/kit/label"
	"github.com/sluicegate/sluicegate/handlers/task"
)

// shop is the service that the kit lives in.
type shop struct {
	dir     string
	db      *sql.DB
	broker  *broker.Broker
	carrier *carrier
	client  *http.Client
	alerts  *recorder
}

// recorder stands for an alert.Notifier.
type recorder struct {
	mu sync.Mutex
	n  int
}

// Emit counts.
func (r *recorder) Emit(alert.Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func open(ctx context.Context) (s *shop, err error) {
	s = &shop{client: &http.Client{Transport: &http.Transport{}}, alerts: &recorder{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "sluicegate-kit"); err != nil {
		return s, fmt.Errorf("make folder: %w", err)
	}
	s.db, err = sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.dir, "shop.db"))+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return s, fmt.Errorf("open database: %w", err)
	}
	s.db.SetMaxOpenConns(1) // SQLite: one shared write connection
	if err := sluicegate.Migrate(ctx, s.db, sluicegate.Config{}); err != nil {
		return s, fmt.Errorf("migrate: %w", err)
	}
	if _, err := s.db.ExecContext(ctx, label.Tables); err != nil {
		return s, fmt.Errorf("make tables: %w", err)
	}
	if s.broker, err = broker.Open(ctx, "memory://", broker.Config{}); err != nil {
		return s, fmt.Errorf("open broker: %w", err)
	}
	s.carrier, err = startCarrier(ctx)
	return s, err
}

func (s *shop) close() (err error) {
	s.client.CloseIdleConnections()
	if s.carrier != nil {
		err = errors.Join(err, s.carrier.close())
	}
	if s.broker != nil {
		err = errors.Join(err, s.broker.Close())
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// labels is the kit as this service has it. Its times are those of an example.
func (s *shop) labels() (*label.Labels, error) {
	return label.New(s.db, &label.HTTP{URL: s.carrier.url, Client: s.client}, task.Config{ //nolint:wrapcheck // it says what it is
		Delays: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}, MaxAttempts: 1000, Away: 200 * time.Millisecond,
		Timeout: 500 * time.Millisecond, PollMax: 200 * time.Millisecond, Alerts: s.alerts,
	})
}

// start is a process: the relay, the handler of messages and the worker of the kit. What it
// returns stops it and says how it went.
func (s *shop) start(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.process(ctx, cancel) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func (s *shop) process(ctx context.Context, cancel context.CancelFunc) error {
	defer cancel()
	labels, err := s.labels()
	if err != nil {
		return err
	}
	stack, err := sluicegate.New(s.db, sluicegate.Config{Alerts: s.alerts})
	if err != nil {
		return fmt.Errorf("make stack: %w", err)
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	if err := stack.Handle(router, "label", "orders.paid", s.broker.Group("label"), labels.OnPaid); err != nil {
		return fmt.Errorf("install handler: %w", err)
	}
	var (
		wg   sync.WaitGroup
		errs [3]error
	)
	for i, run := range []func(context.Context) error{
		labels.Run,
		func(ctx context.Context) error { return stack.Run(ctx, router) },
		func(ctx context.Context) error { return stack.Outbox().Relay(ctx, s.broker) },
	} {
		wg.Go(func() {
			defer cancel() // one of them alone is no service
			errs[i] = run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}
