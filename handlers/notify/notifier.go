package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/netguard"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Queue is the queue of the schedule that notifications are in.
const Queue = "notify"

// userAgent is what POSTs come from.
const userAgent = "sluicegate-notify/1"

// Notifier keeps notifications and, while it Runs, POSTs them. It is safe for
// concurrent use and owns no goroutine but within Run.
type Notifier struct {
	db       sqltable.Tables
	names    sqldialect.Names
	cfg      Config
	guard    *netguard.Guard
	client   *http.Client
	schedule *schedule.Schedule
	worker   *schedule.Worker
	gates    *gates
}

// New returns a Notifier on db, whose migrations must have run; nothing is read or
// written here. All problems of cfg are reported together, each with its field.
func New(db *sql.DB, cfg Config) (*Notifier, error) {
	cfg, err := cfg.withDefaults()
	names := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, dialectErr := sqldialect.Configure("Config", db, cfg.Dialect, names)
	guard, guardErr := netguard.New(netguard.Config{
		AllowPrivate: cfg.AllowPrivate, Allow: cfg.Allow, Timeout: max(cfg.Timeout, 0), MaxIdle: 256,
		MaxBody: int64(max(cfg.MaxResponse, minRead)),
	})
	if err := errors.Join(err, dialectErr, guardErr); err != nil {
		return nil, fmt.Errorf("configure notify: %w", err)
	}
	n := &Notifier{db: newTables(db, d, names, cfg.Now), names: names, cfg: cfg, guard: guard, client: cfg.client(guard)}
	n.gates = newGates(cfg, n.clock)
	n.schedule, err = schedule.New(db, schedule.Config{Dialect: d, Schema: cfg.Schema, Prefix: cfg.Prefix, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("configure notify: %w", err)
	}
	n.worker, err = schedule.NewWorker(n.schedule, Queue, n.work, schedule.WorkerConfig{
		Concurrency: cfg.Concurrency, PerTarget: cfg.PerTarget, Aside: cfg.InFlight, Lease: cfg.Lease,
		PollMin: min(100*time.Millisecond, cfg.PollMax), PollMax: cfg.PollMax,
		Jitter: schedule.NoJitter, // it is the schedule's
		Failed: broken, Retain: time.Hour, RetainDead: time.Hour, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("configure notify: %w", err)
	}
	return n, nil
}

// Migrate creates or updates the tables, with all others of Sluicegate. It may run
// twice, and at the same time in several processes.
func (n *Notifier) Migrate(ctx context.Context) error {
	if _, err := schema.Up(ctx, n.db.DB, n.db.Dialect, n.names); err != nil {
		return fmt.Errorf("migrate notify: %w", err)
	}
	return nil
}

// clock is this machine's, for signatures and what is kept in memory.
func (n *Notifier) clock() time.Time {
	if n.cfg.Now != nil {
		return n.cfg.Now()
	}
	return time.Now()
}

// Wake has Run look for new notifications now rather than after Config.PollMax: call it after the
// commit of a transaction that Enqueue took part in. It never blocks.
func (n *Notifier) Wake() { n.worker.Wake() }

// Run POSTs what is due, and removes what is older than its retention, until
// ctx ends. It then begins nothing more, cuts off the POSTs that are under way, which
// spends no attempt of theirs, and returns nil when those at work have been settled. It returns an
// error only where it runs already: a database that is away is waited for.
func (n *Notifier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { n.keepHouse(ctx) })
	defer n.client.CloseIdleConnections()
	return n.worker.Run(ctx) //nolint:wrapcheck // it says what it is
}
