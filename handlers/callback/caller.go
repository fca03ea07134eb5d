package callback

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/netguard"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Caller sends the calls of one service and takes its callbacks: it is the
// http.Handler to mount where the service calls back. It is safe for concurrent use
// and owns no goroutine but within Run.
type Caller struct {
	cfg      Config
	table    *table
	outbox   Outbox
	schedule *schedule.Schedule
	calls    *schedule.Worker // sends and asks
	parked   *schedule.Worker // applies what came too early
	known    *known
	guard    *netguard.Guard
	client   *http.Client
	verify   func(r *http.Request, body []byte) error
	waiting  atomic.Int64 // callbacks between their look-ups

	mu      sync.Mutex
	running bool
}

// New returns a Caller on db, whose migrations must have run. Results leave through
// outbox. All problems of cfg are reported together, each with its field. Nothing is
// read or written here.
func New(db *sql.DB, outbox Outbox, cfg Config) (*Caller, error) {
	cfg, err := cfg.withDefaults()
	if outbox == nil {
		err = errors.Join(errors.New("outbox: is nil"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("configure callback: %w", err)
	}
	c := &Caller{cfg: cfg, outbox: outbox, client: cfg.Client, verify: cfg.Verify}
	steps := []func() error{
		func() (err error) { c.table, err = newTable(db, cfg); return err },
		func() (err error) { c.known, err = newKnown(cfg.Known); return err },
		c.network,
	}
	if c.verify == nil {
		steps = append(steps, c.standard)
	}
	var errs []error
	for _, step := range steps {
		errs = append(errs, step())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure callback: %w", err)
	}
	c.cfg.Keys = nil // nothing that prints a Caller shows them
	if err := c.workers(db); err != nil {
		return nil, fmt.Errorf("configure callback: %w", err)
	}
	return c, nil
}

// network makes what requests go through.
func (c *Caller) network() error {
	var err error
	c.guard, err = netguard.New(netguard.Config{
		AllowPrivate: c.cfg.AllowPrivate, Allow: c.cfg.Allow, Timeout: c.cfg.Timeout, MaxBody: int64(c.cfg.MaxBody),
	})
	if err != nil {
		return err
	}
	if c.cfg.QueryURL != "" {
		if err := c.guard.CheckURL(queryURL(c.cfg.QueryURL, "n")); err != nil {
			return fmt.Errorf("Config.QueryURL: %w", err)
		}
	}
	if c.client == nil {
		c.client = c.guard.Client()
	}
	return nil
}

// standard verifies as Standard Webhooks.
func (c *Caller) standard() error {
	v, err := webhook.NewVerifier(c.cfg.Tolerance, c.cfg.Keys...)
	if err != nil {
		return fmt.Errorf("Config.Keys: %w", err)
	}
	now := c.cfg.Now
	if now == nil {
		now = time.Now
	}
	c.verify = func(r *http.Request, body []byte) error {
		_, _, err := v.Verify(r.Header, body, now())
		return err
	}
	return nil
}

func (c *Caller) callQueue() string   { return "call:" + c.cfg.Service }
func (c *Caller) parkedQueue() string { return "callback:" + c.cfg.Service }

func (c *Caller) workers(db *sql.DB) error {
	cfg := c.cfg
	s, err := schedule.New(db, schedule.Config{Dialect: cfg.Dialect, Schema: cfg.Schema, Prefix: cfg.Prefix, Now: cfg.Now})
	if err != nil {
		return err
	}
	c.schedule = s
	var errs [2]error
	c.calls, errs[0] = schedule.NewWorker(s, c.callQueue(), c.work, schedule.WorkerConfig{
		Concurrency: cfg.Concurrency, PerTarget: cfg.PerHost, Lease: cfg.Lease, PollMax: cfg.PollMax,
		PollMin: min(cfg.PollMax, glance),
		Jitter:  schedule.NoJitter, // deadlines are kept; queries have their own
		Retain:  time.Hour,         // the history of a call is in its own tables
		Logger:  cfg.Logger,
	})
	c.parked, errs[1] = schedule.NewWorker(s, c.parkedQueue(), c.takeUp, schedule.WorkerConfig{
		PollMax: cfg.PollMax, PollMin: min(cfg.PollMax, glance), Jitter: schedule.NoJitter,
		Retain: cfg.Retain, RetainDead: cfg.Retain, Logger: cfg.Logger,
	})
	return errors.Join(errs[:]...)
}

// glance is the shortest time between two looks of a worker.
const glance = 100 * time.Millisecond

// Wake has the Run of this process look for calls now. Call it after the commit. It
// never blocks.
func (c *Caller) Wake() { c.calls.Wake() }

// Run sends, asks, applies parked callbacks and removes what is over, until ctx
// ends. It returns nil then, and an error only where it runs already. A request
// that is under way when ctx ends is cut off, and made again by whoever runs next.
func (c *Caller) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("caller runs already")
	}
	c.running = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.running = false
		c.mu.Unlock()
	}()
	var (
		wg   sync.WaitGroup
		errs [2]error
	)
	wg.Go(func() { errs[0] = c.calls.Run(ctx) })
	wg.Go(func() { errs[1] = c.parked.Run(ctx) })
	wg.Go(func() { c.pruneLoop(ctx) })
	wg.Wait()
	if c.cfg.Client == nil {
		c.client.CloseIdleConnections()
	}
	return errors.Join(errs[:]...)
}

// tell tells the observer a fact of this service.
func (c *Caller) tell(f Fact) {
	if c.cfg.Observe != nil {
		f.Service = c.cfg.Service
		c.cfg.Observe(f)
	}
}
