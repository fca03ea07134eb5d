package sluicegate

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/alerting"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/expiry"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/outputs"
	"github.com/sluicegate/sluicegate/middleware/recovery"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/middleware/timeout"
	"github.com/sluicegate/sluicegate/middleware/trace"
	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

// Middleware returns the chain for a whole router or for one of its handlers:
// router.AddMiddleware, or the AddMiddleware of a handler. It must be the first
// that is added, so that it is outermost. Each message is counted to the
// handler that Watermill names in its context, and what a handler puts out goes
// to the topic that it was added with. A message that a handler parked before a
// restart is tried again after the handler has got its first message. Handle and its
// siblings do the same and more checks, and have the parked ones from the start.
func (s *Stack) Middleware() (message.HandlerMiddleware, error) { return s.chain("", "", nil) }

// chain builds the chain of one handler; an empty handler or output is taken
// from Watermill's context. plan is nil but for a batch handler.
func (s *Stack) chain(handler, output string, plan *batchPlan) (message.HandlerMiddleware, error) {
	b := builder{s: s, handler: handler, output: output, plan: plan}
	b.add(KindTrace)(trace.New(trace.Config{}))
	if s.cfg.Alerts != nil {
		b.add(KindAlerting)(alerting.New(s.cfg.Alerts, alerting.Config{}))
	}
	b.add(KindDeadLetter)(deadletter.New(s.letters, deadletter.Config{Observe: s.observe}))
	if s.parker != nil {
		b.add(KindPark)(s.parker.Middleware, nil)
	}
	b.add(KindExpiry)(expiry.New(expiry.Config{Record: s.letGo, Observe: s.observe}))
	if s.cfg.strength() == SQL {
		b.sql()
	} else {
		b.claimed()
	}
	b.add(KindTimeout)(timeout.New(timeout.Config{Timeout: s.cfg.Timeout}))
	b.add(KindRecovery)(recovery.New(recovery.Config{}))
	for _, mw := range s.cfg.Around {
		b.add(KindCustom)(mw, nil)
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	composed, err := Compose(s.cfg.strength(), b.layers...)
	if err != nil {
		return nil, err
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		handle := s.gate.middleware(s.deliver(handler, composed(next)))
		if s.parker != nil && handler == "" {
			handle = s.parker.Entry(s.cfg.Consumer, "")(handle)
		}
		return handle
	}, nil
}

// deliver puts the record of the delivery into the message's context, unless the
// message has one, being parked.
func (s *Stack) deliver(handler string, next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		if _, resumed := delivery.From(ctx).Resumed(); resumed {
			return next(msg)
		}
		name := handler
		if name == "" {
			name = message.HandlerNameFromCtx(ctx)
		}
		d := &delivery.Delivery{Handler: name, Topic: message.SubscribeTopicFromCtx(ctx), Consumer: s.cfg.Consumer}
		if c, ok := ctx.(*delivery.Context); ok && delivery.From(ctx) == nil {
			c.Carry(d) // the gate's, which has just made it
			return next(msg)
		}
		msg.SetContext(delivery.With(ctx, d))
		defer msg.SetContext(ctx)
		return next(msg)
	}
}

// builder collects the layers of one chain and the problems on the way.
type builder struct {
	s               *Stack
	handler, output string
	plan            *batchPlan
	layers          []Layer
	errs            []error
}

func (b *builder) add(kind Kind) func(message.HandlerMiddleware, error) {
	return func(mw message.HandlerMiddleware, err error) {
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %w", kind, err))
		}
		b.layers = append(b.layers, Layer{Kind: kind, Middleware: mw})
	}
}

func (b *builder) retry() {
	cfg := b.s.cfg.Retry
	cfg.Observe = both(cfg.Observe, b.s.observe)
	b.add(KindRetry)(retry.New(cfg))
	if b.s.circuits != nil {
		b.add(KindCircuit)(b.s.circuits.Middleware, nil)
	}
	b.add(KindUnavailable)(unavailable.New(b.s.cfg.Unavailable))
}

func both(first, second func(Event)) func(Event) {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return func(e Event) {
		first(e)
		second(e)
	}
}

// sql: retry → transaction with the dedup row → outputs into the outbox; for a
// batch handler, the batch outside of all that.
func (b *builder) sql() {
	c := b.s.cfg
	once := idempotency.TxConfig{
		Handler: b.handler, Consumer: c.Consumer, Key: c.Key,
		Retention: c.Retention, RedeliveryHorizon: c.RedeliveryHorizon, Observe: b.s.observe,
	}
	if b.plan != nil {
		b.batch(once)
	}
	b.retry()
	if b.plan != nil {
		b.add(KindCustom)(slots(b.plan.lanes()), nil)
	}
	b.add(KindTransaction)(idempotency.Transaction(b.s.runner, b.s.inbox, once))
	b.add(KindOutputs)(outputs.Outbox(b.s.box, outputs.OutboxConfig{Topic: b.output}))
}

// claimed: outputs published from the record → idempotency → retry.
func (b *builder) claimed() {
	c := b.s.cfg
	if c.Publisher != nil {
		b.add(KindOutputs)(outputs.Publish(c.Publisher, outputs.PublishConfig{
			Topic: b.output, Observe: b.s.observe,
		}))
	} else {
		b.add(KindOutputs)(refuseOutputs, nil)
	}
	b.add(KindIdempotency)(idempotency.New(c.Store, idempotency.Config{
		Handler: b.handler, Consumer: c.Consumer, Key: c.Key,
		Retention: c.Retention, RedeliveryHorizon: c.RedeliveryHorizon,
		Observe: b.s.observe, Logger: c.Logger,
	}))
	b.retry()
}

// ErrNoPublisher says that a handler put messages out which nobody would publish.
var ErrNoPublisher = errors.New("handler put messages out, and Config.Publisher is not set")

// refuseOutputs stands where outputs would be published: what a handler puts
// out must not vanish, nor be left to the router, which publishes it unseen.
func refuseOutputs(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		produced, err := next(msg)
		if err == nil && len(produced) > 0 {
			return nil, failure.Permanent(ErrNoPublisher)
		}
		return produced, err
	}
}
