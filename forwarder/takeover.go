package forwarder

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// ErrForwarderRunning says that Watermill's forwarder, or another takeover, is
// at work on the same table and consumer group. Nothing was settled over it.
var ErrForwarderRunning = errors.New("another forwarder is running on this table and consumer group")

// TakeoverConfig says which table of Watermill's forwarder is relayed. The zero
// value is what Watermill's own defaults make.
type TakeoverConfig struct {
	// ForwarderTopic is the topic that their publisher was configured with.
	// Default "forwarder_topic".
	ForwarderTopic string
	// ConsumerGroup is the group of their subscriber. Default "", as theirs.
	ConsumerGroup string
	// MessagesTable and OffsetsTable are the names of the tables, unquoted.
	// Default "watermill_" and "watermill_offsets_" with the topic after it.
	MessagesTable, OffsetsTable string
	// WatchFor is how long Run looks for a forwarder of theirs that is alive
	// before it begins. It must be longer than that one's PollInterval, which
	// is 1 s by default. Default 3 s.
	WatchFor time.Duration
	// GapWait is how old a gap in MySQL's offsets must be before it counts as
	// the trace of a rollback. Default 1 s.
	GapWait time.Duration
	// Relay bounds batches, waits and attempts, as it does for a relay. Lanes,
	// Concurrency, leases and history do not apply.
	Relay RelayConfig
}

var tableName = regexp.MustCompile(`^[A-Za-z0-9_.:$-]+$`)

func (c TakeoverConfig) withDefaults(d Dialect) (TakeoverConfig, error) {
	var errs []error
	if c.ForwarderTopic == "" {
		c.ForwarderTopic = "forwarder_topic"
	}
	if c.MessagesTable == "" {
		c.MessagesTable = "watermill_" + c.ForwarderTopic
	}
	if c.OffsetsTable == "" {
		c.OffsetsTable = "watermill_offsets_" + c.ForwarderTopic
	}
	for _, f := range []struct{ name, value string }{{"MessagesTable", c.MessagesTable}, {"OffsetsTable", c.OffsetsTable}} {
		if !tableName.MatchString(f.value) {
			errs = append(errs, fmt.Errorf("TakeoverConfig.%s: %q has characters other than letters, digits and _ . : $ -", f.name, f.value))
		}
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{{"WatchFor", &c.WatchFor, 3 * time.Second}, {"GapWait", &c.GapWait, time.Second}} {
		if *f.value == 0 {
			*f.value = f.def
		} else if *f.value < 0 {
			errs = append(errs, fmt.Errorf("TakeoverConfig.%s: %v is negative", f.name, *f.value))
		}
	}
	if d == sqldialect.SQLite {
		errs = append(errs, errors.New("TakeoverConfig: watermill-sql has no SQLite tables to take over"))
	}
	var err error
	if c.Relay, err = c.Relay.withDefaults(); err != nil {
		errs = append(errs, err)
	}
	c.Relay = c.Relay.suited(PostgreSQL) // of which MySQL's do not differ
	return c, errors.Join(errs...)
}

// Takeover relays a table that Watermill's own forwarder publisher fills, in
// the default schema of watermill-sql v3 for PostgreSQL or MySQL, in the place
// of Watermill's forwarder.
//
// It goes on from the offset of the consumer group, never from the start unless
// the group has none, and advances that same offset after the broker has
// acknowledged, so that theirs could go on again from there. Messages leave in
// the order that theirs would have: with a plain publisher one after the other,
// with batches as batches in order. The metadata arrives as it was; a message
// without a key has none.
//
// On PostgreSQL rows are read, as theirs does, up to the oldest transaction
// that is still open: their table is read by a cursor over transaction ids, and
// a transaction that began early and commits late would be skipped without it.
// So an open write transaction anywhere in the cluster delays delivery here;
// only the outbox's own table is free of that. On MySQL theirs locks ranges;
// this waits at a gap in the offsets until whoever made it has ended.
//
// Rows that are no envelope, and messages that the broker refuses for good or
// MaxAttempts times while it proved to be there, are copied to the outbox's
// history with status "failed" and passed. A message that fails otherwise
// holds back those behind it. Messages of theirs are not deleted.
type Takeover struct {
	outbox *Outbox
	pub    message.Publisher
	cfg    TakeoverConfig
	tables takeoverTables
	health health

	delivered, failed atomic.Int64
}

// NewTakeover returns a takeover to pub, which stays the caller's to close. The
// outbox's own tables must exist in the same database.
func (o *Outbox) NewTakeover(pub message.Publisher, cfg TakeoverConfig) (*Takeover, error) {
	if pub == nil {
		return nil, errors.New("new takeover: pub: a publisher is needed, got nil")
	}
	cfg, err := cfg.withDefaults(o.cfg.Dialect)
	if err != nil {
		return nil, fmt.Errorf("new takeover: %w", err)
	}
	return &Takeover{
		outbox: o, pub: pub, cfg: cfg, health: health{log: o.cfg.Logger},
		tables: takeoverTables{
			d: o.cfg.Dialect, group: cfg.ConsumerGroup,
			messages: o.cfg.Dialect.Quote(cfg.MessagesTable), offsets: o.cfg.Dialect.Quote(cfg.OffsetsTable),
			offsetsPlain: cfg.OffsetsTable,
		},
	}, nil
}

// Stats returns the figures of now. Only Delivered, Failed, BrokerAwaySince and
// DatabaseAwaySince are used.
func (t *Takeover) Stats() RelayStats {
	broker, database := t.health.since()
	return RelayStats{
		Delivered: t.delivered.Load(), Failed: t.failed.Load(),
		BrokerAwaySince: broker, DatabaseAwaySince: database,
	}
}

// Run relays until ctx ends and returns nil then. It returns an error that wraps
// ErrForwarderRunning where a forwarder of theirs is seen, at the start or
// later: it advanced the offset, or holds it. Run must not be called twice at
// the same time.
func (t *Takeover) Run(ctx context.Context) error {
	at, err := t.begin(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("take over %s: %w", t.cfg.MessagesTable, err)
	}
	r := takeoverRun{
		Takeover: t, at: at, done: map[position]bool{}, attempts: map[position]int{},
		idle:  backoff{low: t.cfg.Relay.PollMin, high: t.cfg.Relay.PollMax},
		retry: backoff{low: t.cfg.Relay.RetryMin, high: t.cfg.Relay.RetryMax},
	}
	defer func() {
		if r.ahead != nil {
			<-r.ahead.done // one read, which ends with ctx at the latest
		}
	}()
	for ctx.Err() == nil {
		pause, err := r.round(ctx)
		switch {
		case errors.Is(err, ErrForwarderRunning):
			return fmt.Errorf("take over %s: %w", t.cfg.MessagesTable, err)
		case err != nil && ctx.Err() == nil:
			t.health.database(err)
			pause = r.retry.next()
		}
		wait(ctx, pause, nil)
	}
	return nil
}

// begin finds out that nobody else is at work, and where to go on.
func (t *Takeover) begin(ctx context.Context) (position, error) {
	retry := backoff{low: t.cfg.Relay.RetryMin, high: t.cfg.Relay.RetryMax}
	for {
		at, err := t.watch(ctx)
		if err == nil || !t.outbox.cfg.Dialect.IsUnavailable(err) || ctx.Err() != nil {
			return at, err
		}
		t.health.database(err)
		if !wait(ctx, retry.next(), nil) {
			return position{}, ctx.Err()
		}
	}
}
