package objectsync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Syncer keeps the objects of one kind of entity equal to their rows. It is safe for
// concurrent use and owns no goroutine but within Run, Sync and Reconcile.
type Syncer struct {
	db       *sql.DB
	store    Store
	cfg      Config
	table    table
	schedule *schedule.Schedule
	worker   *schedule.Worker
	log      *slog.Logger
}

// New returns a Syncer on db, whose migrations must have run, and store. Nothing is
// read or written here. All problems of cfg are reported together, each with its
// field.
func New(db *sql.DB, store Store, cfg Config) (*Syncer, error) {
	cfg = cfg.withDefaults()
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix})
	errs := []error{err, cfg.validate()}
	if store == nil {
		errs = append(errs, errors.New("store: a store is needed, got nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure objectsync: %w", err)
	}
	s := &Syncer{db: db, store: store, cfg: cfg, table: newTable(db, d, &cfg), log: cfg.Logger.With("objectsync", cfg.Name)}
	s.schedule, err = schedule.New(db, schedule.Config{Dialect: d, Schema: cfg.Schema, Prefix: cfg.Prefix, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("configure objectsync: %w", err)
	}
	target := []string{cfg.Name, s.recheckTarget()}
	s.worker, err = schedule.NewWorker(s.schedule, Queue, s.work, schedule.WorkerConfig{
		Concurrency: cfg.Concurrency, PerTarget: cfg.Concurrency, Lease: cfg.Lease, PollMax: cfg.PollMax,
		Jitter:  schedule.NoJitter, // settle has its own
		Retain:  time.Hour,         // the record tells more than a task that is done
		Targets: func() []string { return target }, Logger: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("configure objectsync: %w", err)
	}
	return s, nil
}

// Run uploads what is marked, until ctx ends. It then takes nothing more, ends the
// contexts of what is at work, and returns when that has come back: what is cut off
// spends no attempt. It returns nil then, and an error only where it runs already.
func (s *Syncer) Run(ctx context.Context) error {
	return s.worker.Run(ctx) //nolint:wrapcheck // it says what it is
}

// Wake makes Run look now: after a commit in this process. It never blocks.
func (s *Syncer) Wake() { s.worker.Wake() }
