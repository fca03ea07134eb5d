package sluicegate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/outputs"
	"github.com/sluicegate/sluicegate/middleware/recovery"
	"github.com/sluicegate/sluicegate/middleware/timeout"
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
func (s *Stack) HandleBatchProducing(router *message.Router, name, topic string, sub message.Subscriber, output string, fn BatchProducer, cfg BatchConfig) error {
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
	one := s.inTransaction(func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		return fn(ctx, tx, []*message.Message{msg})
	})
	return s.install(router, name, topic, sub, output, one, &batchPlan{fn: fn, cfg: cfg})
}

// batchPlan is what the chain of a batch handler has besides that of a single one.
type batchPlan struct {
	fn  BatchProducer
	cfg BatchConfig
}

// lanes is how many single messages are at work at a time, too.
func (p *batchPlan) lanes() int {
	if p.cfg.Lanes < 1 { // none, or refused by the batch
		return idempotency.DefaultLanes
	}
	return p.cfg.Lanes
}

// batch adds the layer that gathers, outside of retry: what it gives up goes the
// way of a single message.
func (b *builder) batch(c idempotency.TxConfig) {
	mw, err := b.batchMiddleware(c)
	b.add(KindBatch)(mw, err)
}

func (b *builder) batchMiddleware(c idempotency.TxConfig) (message.HandlerMiddleware, error) {
	write, err := outputs.Outbox(b.s.box, outputs.OutboxConfig{Topic: b.output})
	if err != nil {
		return nil, err
	}
	limit, err := timeout.New(timeout.Config{Timeout: b.s.cfg.Timeout})
	if err != nil {
		return nil, err
	}
	rescue, err := recovery.New(recovery.Config{})
	if err != nil {
		return nil, err
	}
	fn := b.plan.fn
	// The layers of one attempt take a message: this one stands for the batch.
	return idempotency.Batch(b.s.runner, b.s.inbox, func(ctx context.Context, msgs []*message.Message) error {
		_, err := write(limit(rescue(func(batch *message.Message) ([]*message.Message, error) {
			ctx := batch.Context()
			tx, ok := dbtx.Native[*sql.Tx](ctx)
			if !ok {
				return nil, failure.Permanent(errors.New("no *sql.Tx in the context of the batch"))
			}
			produced, err := fn(ctx, tx, msgs)
			if err != nil {
				return nil, err
			}
			return traced(produced), nil
		})))(message.NewMessageWithContext(ctx, "", nil))
		return err
	}, c, b.plan.cfg)
}

// traced gives each output the trace of the message whose context it has.
func traced(produced []*message.Message) []*message.Message {
	for i, out := range produced {
		if out == nil {
			continue // refused further out
		}
		if d := delivery.From(out.Context()); d != nil {
			produced[i] = out.Copy() // it may be a message of the batch itself
			d.Outgoing(produced[i])
		}
	}
	return produced
}

// slots bounds the transactions that single messages of a batch have open at a
// time, so that a batch that failed does not ask for as many connections as it
// had messages. It stands inside of retry: nobody holds a slot while he waits.
func slots(n int) message.HandlerMiddleware {
	free := make(chan struct{}, n)
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			ctx := msg.Context()
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return nil, fmt.Errorf("not attempted: %w", context.Cause(ctx))
			}
			defer func() { <-free }()
			return next(msg)
		}
	}
}
