package sluicegate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// The defaults of RetainConfig.
const (
	DefaultRetainDead     = 90 * 24 * time.Hour
	DefaultRetainRedriven = 30 * 24 * time.Hour
	DefaultRetainParked   = 24 * time.Hour
	DefaultRetainGivenUp  = 15 * 24 * time.Hour
	DefaultRetainEvery    = 10 * time.Minute
)

// RetainConfig says how long what a Stack has finished with stays in its tables.
// The zero value is ready for use. The dedup rows of the inbox have their own,
// Config.Retention; delivered rows are the relay's, forwarder.RelayConfig.Retain.
type RetainConfig struct {
	// Dead is how long a dead letter that nobody has redriven is kept. Default 90
	// days.
	Dead time.Duration
	// Redriven is how long one is kept that was redriven. Default 30 days.
	Redriven time.Duration
	// Parked is how long the task of a parked message is kept that ended well, or
	// was cancelled. Default 1 day.
	Parked time.Duration
	// GivenUp is how long that of one is kept which was given up: its history, for
	// the message itself is a dead letter. Default 15 days.
	GivenUp time.Duration
	// Every is how often old rows are looked for. Of the processes that share the
	// tables one does it, in small batches, with at most a fifth of the time of one
	// connection. Default 10 minutes.
	Every time.Duration
	// Off keeps everything. Default: what is over is removed.
	Off bool
}

func (c RetainConfig) withDefaults() (RetainConfig, error) {
	var errs []error
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Dead", &c.Dead, DefaultRetainDead},
		{"Redriven", &c.Redriven, DefaultRetainRedriven},
		{"Parked", &c.Parked, DefaultRetainParked},
		{"GivenUp", &c.GivenUp, DefaultRetainGivenUp},
		{"Every", &c.Every, DefaultRetainEvery},
	} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("Config.Retain.%s: %v is negative", d.name, *d.value))
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.Off {
		c.Parked, c.GivenUp = forever, forever
	}
	return c, errors.Join(errs...)
}

// forever is what the tables take for no retention.
const forever = -1

// openRetention prepares the removal of what is over.
func (s *Stack) openRetention(db *sql.DB) (err error) {
	c := s.cfg
	if db == nil || c.Retain.Off {
		return nil
	}
	var sweeps []janitor.Sweep
	if s.inbox != nil {
		sweeps = append(sweeps, janitor.Sweep{Name: "inbox", Remove: s.inbox.Purge})
	}
	if s.stored != nil {
		letters := func(status deadletter.Status, retain time.Duration) janitor.Remove {
			return func(ctx context.Context, limit int) (int64, error) {
				return s.stored.Prune(ctx, deadletter.PruneRequest{Status: status, OlderThan: retain, Batch: limit})
			}
		}
		sweeps = append(sweeps,
			janitor.Sweep{Name: "dead letters", Remove: letters(deadletter.Dead, c.Retain.Dead)},
			janitor.Sweep{Name: "redriven dead letters", Remove: letters(deadletter.Redriven, c.Retain.Redriven)})
	}
	s.janitor, err = janitor.New(db, janitor.Config{
		Dialect: c.Dialect, Schema: c.Schema, Prefix: c.Prefix, Every: c.Retain.Every, Logger: c.Logger,
	}, sweeps...)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	return nil
}

// RunRetention removes what is over from the tables until ctx ends; Run does it by
// itself. It is for those who run the router themselves.
func (s *Stack) RunRetention(ctx context.Context) {
	if s.janitor != nil {
		s.janitor.Run(ctx)
	}
}

// startRetention runs it until the function that it returns is called.
func (s *Stack) startRetention(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.RunRetention(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}
