package sluicegate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/circuit"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/middleware/timeout"
	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

// Event is a fact that Config.Observe is told.
type Event = event.Event

// Kinds of events.
const (
	Retried      = event.Retried      // an attempt failed, another follows
	Duplicate    = event.Duplicate    // the effect was there already
	Busy         = event.Busy         // another delivery of the key is at work
	Takeover     = event.Takeover     // a record was taken from an owner whose lease had ended
	LeaseLost    = event.LeaseLost    // the record was lost while the handler ran
	Unmarked     = event.Unmarked     // the effect is there, its record could not be marked
	Republished  = event.Republished  // stored outputs were published again
	DeadLettered = event.DeadLettered // a message was set aside
	Parked       = event.Parked       // a message was stored, to be tried later
	Resumed      = event.Resumed      // a parked message is tried again
	Expired      = event.Expired      // a message was acked unhandled, its time was over
	Returned     = event.Returned     // a message went back without an attempt
	Split        = event.Split        // a batch failed; its messages are handled one by one
	Handled      = event.Handled      // an effect is there

	CircuitOpened = event.CircuitOpened // a handler's messages wait for what it depends on
	CircuitClosed = event.CircuitClosed // they go on
)

// CircuitConfig is circuit.Config, and a way to do without.
type CircuitConfig struct {
	// Off leaves circuits out. Default: each handler has one.
	Off bool
	circuit.Config
}

// The defaults.
const (
	DefaultRetention    = 7 * 24 * time.Hour
	DefaultDrainTimeout = 20 * time.Second
)

// Config of a Stack. The zero value is ready for use with a database.
type Config struct {
	// Consumer is the service in the inbox's namespace: two services that share
	// tables must differ in it, or in Prefix. Default none.
	Consumer string

	// Dialect, Schema and Prefix say where the tables are, as in
	// forwarder.Config. Default: told from the driver, the connection's own
	// schema, "sluicegate_".
	Dialect        forwarder.Dialect
	Schema, Prefix string

	// Store keeps the idempotency records outside the handler's transaction
	// (strength Claimed). Default nil: in it (strength SQL).
	Store idempotency.Store
	// Transactions opens the transaction of each attempt. Default: database/sql
	// on the Stack's database, at READ COMMITTED. Give pgxtx.Runner for pgx; the
	// tables must then be in the same database.
	Transactions idempotency.Runner
	// Publisher publishes the outputs of handlers under strength Claimed.
	// Default none: a handler that puts something out is refused.
	Publisher message.Publisher

	// Key finds the idempotency key of a message. Default: the metadata
	// sluicegate_idempotency_key, else CloudEvents source and id, else the UUID.
	Key idempotency.KeyFunc
	// Retention is how long an effect is remembered. Default 7 days.
	Retention time.Duration
	// RedeliveryHorizon is how late a message may be delivered again. A
	// Retention below it is refused, and so is a subscriber whose broker
	// declares a longer one. Default: Retention.
	RedeliveryHorizon time.Duration

	// Retry configures the immediate attempts. Default: 3 in all.
	Retry retry.Config
	// Park says when what those could not do is tried again, across restarts.
	// Default: after 4 minutes, then every minute, 50 attempts in all, in the table
	// sluicegate_task of the database. Without a database nothing is parked.
	Park ParkConfig
	// Circuit configures the gate in front of each handler that closes while what
	// the handler depends on fails for several different messages. Default: as
	// circuit.Config, with Alerts and Observe of the Stack.
	Circuit CircuitConfig
	// Unavailable says which errors of a handler are outages, which spend no
	// attempt. Default: as unavailable.Config.
	Unavailable unavailable.Config
	// Timeout is how long one attempt may take. Default 30 s.
	Timeout time.Duration
	// DeadLetters stores what is hopeless. Default: the table
	// sluicegate_dead_letter of the database; required without one.
	DeadLetters deadletter.Store
	// Alerts is told of dead letters, and of messages that could not even be
	// set aside. Default: nobody.
	Alerts alert.Emitter
	// Retain says how long dead letters are kept, and how often the tables are
	// cleaned. Default: 90 days, and 30 for one that was redriven.
	Retain RetainConfig
	// Around are middlewares of your own, outermost first, between our
	// recovery and the handler. Default none.
	Around []message.HandlerMiddleware

	// DrainTimeout is how long handlers at work may go on once Run's context, or
	// their message's, has ended. Default 20 s.
	DrainTimeout time.Duration

	// Observe is told facts after they are true, on the handler's goroutine. It
	// must neither block nor panic. Default: nobody.
	Observe func(Event)
	// Logger hears of what no caller can be told. Default: discards. Why a message
	// went back to the broker is told by the router's own logger.
	Logger *slog.Logger
}

func (c Config) names() sqldialect.Names {
	return sqldialect.Names{Schema: c.Schema, Prefix: c.Prefix}
}

func (c Config) strength() Strength {
	if c.Store != nil {
		return Claimed
	}
	return SQL
}

// withDefaults returns a copy with every default in place, or every problem.
func (c Config) withDefaults(db *sql.DB) (Config, error) {
	var errs []error
	if db != nil {
		d, err := sqldialect.Configure("Config", db, c.Dialect, c.names())
		if err != nil {
			errs = append(errs, err)
		}
		c.Dialect = d
	}
	if db == nil && c.Store == nil {
		errs = append(errs, errors.New("Config.Store: without a database, a store for the idempotency records is needed"))
	}
	if db == nil && c.DeadLetters == nil {
		errs = append(errs, errors.New("Config.DeadLetters: without a database, a store for the dead letters is needed"))
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Retention", &c.Retention, DefaultRetention},
		{"Timeout", &c.Timeout, timeout.Default},
		{"DrainTimeout", &c.DrainTimeout, DefaultDrainTimeout},
	} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("Config.%s: %v is negative", d.name, *d.value))
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	retain, err := c.Retain.withDefaults()
	if err != nil {
		errs = append(errs, err)
	}
	c.Retain = retain
	if c.RedeliveryHorizon < 0 {
		errs = append(errs, fmt.Errorf("Config.RedeliveryHorizon: %v is negative", c.RedeliveryHorizon))
	}
	if c.RedeliveryHorizon == 0 {
		c.RedeliveryHorizon = c.Retention
	}
	if c.Retention < c.RedeliveryHorizon {
		errs = append(errs, fmt.Errorf("Config.Retention: %v is shorter than Config.RedeliveryHorizon %v: a late duplicate would run again",
			c.Retention, c.RedeliveryHorizon))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// Migrate creates or updates the tables of Stack and outbox in db. It may run
// twice, and at the same time in several processes. Only Dialect, Schema and
// Prefix of cfg matter.
func Migrate(ctx context.Context, db *sql.DB, cfg Config) error {
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, cfg.names())
	if err != nil {
		return err
	}
	_, err = schema.Up(ctx, db, d, cfg.names())
	return err
}
