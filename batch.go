package sluicegate

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// BatchHandler handles messages in one open transaction. What it writes through
// tx happens, for all of them, if and only if it returns nil and the commit
// succeeds. It must have no other effects: a batch that fails is rolled back
// and its messages are handled one by one, in calls with a single message. It
// must not commit or roll back itself, must not keep msgs, and must stop when
// ctx is done. A message's own context has its trace, but not the transaction.
type BatchHandler func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error

// BatchProducer is a BatchHandler that also puts messages out. An output that
// has got the context of the message that it comes of (SetContext) continues
// that message's trace.
type BatchProducer func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error)

// BatchConfig configures HandleBatch. The zero value is ready for use.
type BatchConfig = idempotency.BatchConfig

// HandleBatch installs fn on router under name, for the messages of topic from
// sub: as Handle, but with one transaction and one dedup statement for many
// messages. Messages that the router hands over at the same time are gathered
// while the transactions before them are at work; an idle handler waits for
// nothing. sub must therefore hand over more than one message at a time, and
// order by key needs one that hands over one of a key at a time, as the
// brokers of this module do.
//
// Each message has its own result: it is acked once its transaction has
// committed or where its effect exists already. Where anything in a batch fails
// (an error of fn, a panic, a time-out, an error of SQL), the whole batch is
// rolled back, which counts as no attempt, and each of its messages goes the
// way of Handle, with its own transactions, attempts and dead letter: one
// message that cannot be handled harms no other. At most twice
// BatchConfig.Lanes transactions are open at a time.
//
// Only strength SQL has it, and neither Config.Transactions nor Config.Around.
func (s *Stack) HandleBatch(router *message.Router, name, topic string, sub message.Subscriber, fn BatchHandler, cfg BatchConfig) error {
	if fn == nil {
		return fmt.Errorf("%w: %q: the function is nil", ErrHandler, name)
	}
	return s.HandleBatchProducing(router, name, topic, sub, "", func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error) {
		return nil, fn(ctx, tx, msgs)
	}, cfg)
}

// HandleBatchProducing is HandleBatch for a function that puts messages out to
// the topic output: they are written to the outbox in the same transaction.
// outputs.To names another topic for a single message.
func (s *Stack) HandleBatchProducing(router *message.Router, name, topic string, sub message.Subscriber, output string, fn BatchProducer, _ BatchConfig) error {
	switch {
	case fn == nil:
		return fmt.Errorf("%w: %q: the function is nil", ErrHandler, name)
	case s.cfg.strength() != SQL:
		return fmt.Errorf("%w: %q: a batch needs the dedup rows in its transaction, and Config.Store keeps them elsewhere", ErrHandler, name)
	case s.cfg.Transactions != nil:
		return fmt.Errorf("%w: %q: a batch wants a *sql.Tx, and Config.Transactions opens others: use HandleMessage", ErrHandler, name)
	case len(s.cfg.Around) > 0:
		return fmt.Errorf("%w: %q: Config.Around holds middlewares for single messages, which a batch would pass by", ErrHandler, name)
	}
	return s.HandleProducing(router, name, topic, sub, output, func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		return fn(ctx, tx, []*message.Message{msg})
	})
}
