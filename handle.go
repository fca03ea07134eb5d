package sluicegate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// TxHandler handles a message in an open transaction. What it writes through
// tx happens if and only if it returns nil and the commit succeeds. It runs in a
// fresh transaction for each attempt, must not commit or roll back itself, and
// must stop when ctx is done.
type TxHandler func(ctx context.Context, tx *sql.Tx, msg *message.Message) error

// TxProducer is a TxHandler that also puts messages out.
type TxProducer func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error)

// ErrHandler says that a handler cannot be installed as it was given.
var ErrHandler = errors.New("handler cannot be installed")

// Handle installs fn on router under name, for the messages of topic from sub.
//
// Under strength SQL the transaction of fn also holds the dedup row: the effect
// happens once. Under strength Claimed the transaction is fn's own, and the
// record is completed after its commit.
func (s *Stack) Handle(router *message.Router, name, topic string, sub message.Subscriber, fn TxHandler) error {
	if fn == nil {
		return fmt.Errorf("%w: %q: the function is nil", ErrHandler, name)
	}
	return s.HandleProducing(router, name, topic, sub, "", func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		return nil, fn(ctx, tx, msg)
	})
}

// HandleProducing is Handle for a function that puts messages out to the topic
// output. Under strength SQL they are written to the outbox in the same
// transaction, and the relay publishes them; under strength Claimed they are
// stored with the record and published by Config.Publisher before the ack, and
// again, with the same UUIDs, for a duplicate. outputs.To names another topic
// for a single message.
func (s *Stack) HandleProducing(router *message.Router, name, topic string, sub message.Subscriber, output string, fn TxProducer) error {
	switch {
	case fn == nil:
		return fmt.Errorf("%w: %q: the function is nil", ErrHandler, name)
	case s.runner == nil:
		return fmt.Errorf("%w: %q wants a transaction, and the stack has no database", ErrHandler, name)
	case s.cfg.Transactions != nil:
		return fmt.Errorf("%w: %q wants a *sql.Tx, and Config.Transactions opens others: use HandleMessage", ErrHandler, name)
	}
	return s.HandleMessage(router, name, topic, sub, output, s.inTransaction(fn))
}

// inTransaction gives fn the transaction of the chain, or under strength
// Claimed, where the chain has none, one of its own.
func (s *Stack) inTransaction(fn TxProducer) message.HandlerFunc {
	run := func(msg *message.Message) ([]*message.Message, error) {
		tx, ok := dbtx.Native[*sql.Tx](msg.Context())
		if !ok {
			return nil, failure.Permanent(errors.New("no *sql.Tx in the message's context"))
		}
		return fn(msg.Context(), tx, msg)
	}
	if s.cfg.strength() == SQL {
		return run
	}
	return func(msg *message.Message) (produced []*message.Message, err error) {
		own := msg.Context()
		defer msg.SetContext(own)
		err = s.runner.InTx(own, func(ctx context.Context, _ dbtx.Tx) error {
			msg.SetContext(ctx)
			produced, err = run(msg)
			return err
		})
		if err != nil {
			return nil, s.classify(err)
		}
		return produced, nil
	}
}

// classify marks what says that the database is away: no attempt was made.
func (s *Stack) classify(err error) error {
	var begin *dbtx.BeginError
	if errors.As(err, &begin) && s.cfg.Dialect.IsUnavailable(err) {
		return failure.Unavailable(err)
	}
	return err
}

// HandleMessage installs a plain Watermill handler function. What it writes by
// itself happens at least once: only what goes through the transaction of its
// context (Tx, or pgxtx.From for pgx) under strength SQL, or is guarded by the
// record of the Store, happens once. output may be empty for a function that
// puts nothing out.
func (s *Stack) HandleMessage(router *message.Router, name, topic string, sub message.Subscriber, output string, h message.HandlerFunc) error {
	return s.install(router, name, topic, sub, output, h, nil)
}

// install puts h in its chain on router; plan is nil but for a batch handler.
func (s *Stack) install(router *message.Router, name, topic string, sub message.Subscriber, output string, h message.HandlerFunc, plan *batchPlan) error {
	if err := s.checkHandler(router, name, topic, sub, output, h); err != nil {
		return err
	}
	chain, err := s.chain(name, output, plan)
	if err != nil {
		return err
	}
	wrapped := chain(h)
	s.register(name, wrapped)
	s.watch(router, name, router.AddConsumerHandler(name, topic, sub, func(msg *message.Message) error {
		_, err := wrapped(msg) // the chain has taken care of what was put out
		return err
	}))
	return nil
}

// Tx returns the database/sql transaction of the attempt that runs on ctx, the
// context of the message in its handler.
func Tx(ctx context.Context) (*sql.Tx, bool) { return dbtx.Native[*sql.Tx](ctx) }

func (s *Stack) checkHandler(router *message.Router, name, topic string, sub message.Subscriber, output string, h message.HandlerFunc) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %q: %s", ErrHandler, name, fmt.Sprintf(format, args...)))
	}
	if name == "" {
		bad("the name is empty; it is the namespace of the idempotency keys")
	}
	if topic == "" {
		bad("the topic is empty")
	}
	if sub == nil {
		bad("the subscriber is nil")
	}
	if h == nil {
		bad("the function is nil")
	}
	if router == nil {
		bad("the router is nil")
	} else if _, taken := router.Handlers()[name]; taken {
		bad("the router has a handler of that name")
	}
	if output != "" && output == topic {
		bad("its output topic is its input topic %q: a message would go round for ever", topic)
	}
	if output != "" && s.cfg.strength() == Claimed && s.cfg.Publisher == nil {
		bad("it puts out to %q, and Config.Publisher is not set", output)
	}
	if letters, ok := s.cfg.DeadLetters.(*deadletter.TopicStore); ok {
		if _, err := letters.TopicFor(topic); err != nil {
			bad("%v", err)
		}
	}
	if b, ok := sub.(interface{ Capabilities() broker.Capabilities }); ok {
		if horizon := b.Capabilities().RedeliveryHorizon; horizon > s.cfg.Retention {
			bad("its broker may deliver again after %v, and Config.Retention is %v: a late duplicate would run again", horizon, s.cfg.Retention)
		}
	}
	return errors.Join(errs...)
}
