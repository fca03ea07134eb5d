package janitor

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// The defaults.
const (
	DefaultEvery = time.Minute
	DefaultBatch = 1000
)

// rest is how much longer than a batch the pause after it is: at most a fifth
// of one connection's time goes into cleaning.
const rest = 4

// Remove removes up to limit rows that are over, in one short transaction, and
// returns how many it removed. Fewer than limit means that there are no more.
type Remove func(ctx context.Context, limit int) (int64, error)

// Sweep is one kind of rows that has a retention.
type Sweep struct {
	Name   string // for the log
	Remove Remove
}

// Drain calls remove until it finds less than a batch, or ctx ends, or it
// fails. It returns how many rows were removed.
func Drain(ctx context.Context, limit int, remove Remove) (removed int64, err error) {
	for rested := ctx.Err() == nil; rested; {
		began := time.Now()
		n, err := remove(ctx, limit)
		removed += n
		if err != nil || n < int64(limit) {
			return removed, err
		}
		rested = backoff.Wait(ctx, rest*time.Since(began)) == nil
	}
	return removed, nil
}

// Config of a Janitor. The zero value is ready to use.
type Config struct {
	Dialect        sqldialect.Dialect // default: told from the driver
	Schema, Prefix string             // where the tables are, as everywhere
	// Every is the time from the end of a round to the next. Default 1 min.
	Every time.Duration
	// Batch is how many rows are removed at a time. Default 1000.
	Batch int
	// Logger hears of sweeps that failed; the next round tries again. Default: nobody.
	Logger *slog.Logger
}

// Janitor runs sweeps.
type Janitor struct {
	cfg     Config
	dialect sqldialect.Dialect
	group   *lease.Group
	sweeps  []Sweep
}

// New returns a Janitor for sweeps, which share the tables of db. Nothing is
// read or written here.
func New(db *sql.DB, cfg Config, sweeps ...Sweep) (*Janitor, error) {
	names := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, names)
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	if cfg.Every < 0 {
		errs = append(errs, fmt.Errorf("Config.Every: %v is negative", cfg.Every))
	}
	if cfg.Batch < 0 {
		errs = append(errs, fmt.Errorf("Config.Batch: %d is negative", cfg.Batch))
	}
	for i, s := range sweeps {
		if s.Name == "" || s.Remove == nil {
			errs = append(errs, fmt.Errorf("sweep %d: a name and a function are needed", i+1))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure janitor: %w", err)
	}
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Batch == 0 {
		cfg.Batch = DefaultBatch
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	group, err := lease.New(lease.Config{
		DB: db, Dialect: d, Table: names.Table(d, schema.Lease),
		Group: "janitor", Owner: rand.Text(), Parts: 1, TTL: max(2*cfg.Every, minTTL),
	})
	if err != nil {
		return nil, fmt.Errorf("configure janitor: %w", err)
	}
	return &Janitor{cfg: cfg, dialect: d, group: group, sweeps: sweeps}, nil
}

// minTTL keeps the turn with a process that is slow for a while.
const minTTL = 10 * time.Second

// closeTimeout limits the one statement that gives the lease back.
const closeTimeout = 2 * time.Second

// Run cleans until ctx ends, and then gives the turn to another process.
func (j *Janitor) Run(ctx context.Context) {
	var keeper sync.WaitGroup
	keeper.Go(func() { j.keep(ctx) })
	defer keeper.Wait()
	for backoff.Wait(ctx, backoff.Half(j.cfg.Every)) == nil {
		if j.group.Owns(0) {
			j.Round(ctx)
		}
	}
}

// keep renews the lease until ctx ends, also during a round that takes long, and
// then gives it back.
func (j *Janitor) keep(ctx context.Context) {
	for {
		if _, err := j.group.Tick(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Logger.Warn("janitor could not renew its lease", "error", err)
		}
		if backoff.Wait(ctx, j.cfg.Every/2) != nil {
			break
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := j.group.Close(ctx); err != nil {
		j.cfg.Logger.Debug("janitor could not give its lease back", "error", err)
	}
}

// Round runs every sweep once, whoever's turn it is.
func (j *Janitor) Round(ctx context.Context) {
	for _, s := range j.sweeps {
		n, err := Drain(ctx, j.cfg.Batch, s.Remove)
		switch {
		case err != nil && ctx.Err() == nil && !j.dialect.IsContention(err):
			j.cfg.Logger.Warn("retention could not be applied", "sweep", s.Name, "error", err)
		case n > 0:
			j.cfg.Logger.Debug("retention applied", "sweep", s.Name, "removed", n)
		}
	}
}
