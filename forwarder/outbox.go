package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Outbox writes messages in the caller's transaction and makes relays. It is
// safe for concurrent use.
type Outbox struct {
	db    *sql.DB
	cfg   Config
	names sqldialect.Names
	tasks *schedule.Schedule // the messages that enter the outbox later

	mu      sync.Mutex
	waiters map[chan struct{}]struct{} // one a lane that runs

	announcer announcer
}

// New returns an outbox in db, which stays the caller's to close. It does not
// connect. All problems of cfg are reported together.
func New(db *sql.DB, cfg Config) (*Outbox, error) {
	cfg, err := cfg.withDefaults(db)
	if err != nil {
		return nil, fmt.Errorf("new outbox: %w", err)
	}
	tasks, err := schedule.New(db, schedule.Config{Dialect: cfg.Dialect, Schema: cfg.Schema, Prefix: cfg.Prefix})
	if err != nil {
		return nil, fmt.Errorf("new outbox: %w", err)
	}
	return &Outbox{db: db, cfg: cfg, names: cfg.names(), tasks: tasks, waiters: map[chan struct{}]struct{}{}}, nil
}

// Migrate creates or updates the tables. It may run twice, and at the same time
// in several processes.
func (o *Outbox) Migrate(ctx context.Context) error {
	if _, err := schema.Up(ctx, o.db, o.cfg.Dialect, o.names); err != nil {
		return fmt.Errorf("migrate outbox: %w", err)
	}
	return nil
}

// Publish writes msgs through tx. They leave for topic after tx has committed,
// and only then; call Wake after the commit to have it happen at once.
//
// All messages are checked before the first is written: an error that wraps a
// *MessageError says which message and which field cannot be stored, and
// nothing was written. Any other error comes from the database; the transaction
// should then be rolled back. The trace context of ctx, or where it has none
// that of the message's own context, travels with the message. Without messages
// Publish does nothing. The messages are not changed: one without a UUID gets a
// UUIDv7 in the table.
func (o *Outbox) Publish(ctx context.Context, tx Executor, topic string, msgs ...*message.Message) error {
	if tx == nil {
		return errors.New("publish to outbox: the transaction is nil")
	}
	return o.publish(ctx, tx, topic, msgs)
}

// Publisher returns a Watermill publisher that writes through tx with ctx, as
// Publish does, for cqrs and all else that wants one. Its Close does nothing. It
// must not be used after the transaction has ended.
func (o *Outbox) Publisher(ctx context.Context, tx Executor) message.Publisher {
	return txPublisher{outbox: o, ctx: ctx, tx: tx}
}

type txPublisher struct {
	outbox *Outbox
	ctx    context.Context //nolint:containedctx // Watermill's Publish has none; the value lives as long as the transaction
	tx     Executor
}

func (p txPublisher) Publish(topic string, msgs ...*message.Message) error {
	return p.outbox.Publish(p.ctx, p.tx, topic, msgs...)
}

func (txPublisher) Close() error { return nil }

// SetKey sets the partition key of msg: messages of one key keep their order.
func SetKey(msg *message.Message, key string) {
	if msg.Metadata == nil {
		msg.Metadata = message.Metadata{}
	}
	msg.Metadata.Set(header.Key, key)
}

// SetExpiry sets until when msg is worth publishing and handling, by the clocks of
// those who do: from at on, the relay does not publish it but moves it to the history
// with status "expired", and middleware/expiry acks it without running a handler.
func SetExpiry(msg *message.Message, at time.Time) {
	if msg.Metadata == nil {
		msg.Metadata = message.Metadata{}
	}
	msg.Metadata.Set(header.ExpiresAt, header.FormatTime(at))
}

// SetAvailableAt has msg published as by PublishAt, with the same limits, by whatever
// way it gets to Publish: a publisher for cqrs, or the outputs of a handler.
func SetAvailableAt(msg *message.Message, at time.Time) {
	if msg.Metadata == nil {
		msg.Metadata = message.Metadata{}
	}
	msg.Metadata.Set(header.AvailableAt, header.FormatTime(at))
}

// Wake tells the relays of this Outbox value, and through Config.Signal those of
// other processes, that something was committed, so that they look at once. Call
// it after the commit. It never blocks, and costs next to nothing where there is
// no Signal and no relay runs in this process.
func (o *Outbox) Wake() {
	o.wakeLocal()
	o.announce()
}

func (o *Outbox) wakeLocal() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ch := range o.waiters {
		select {
		case ch <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// subscribe returns a channel that Wake signals, until the function is called.
func (o *Outbox) subscribe() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiters[ch] = struct{}{}
	return ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.waiters, ch)
	}
}
