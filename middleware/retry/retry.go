package retry

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine.
func New(cfg Config) (message.HandlerMiddleware, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configure retry: %w", err)
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			d, undo := delivery.Ensure(msg)
			defer undo()
			r := &run{cfg: &cfg, delivery: d, ctx: msg.Context(), entry: d.Snapshot(msg)}
			// Put back also where the handler panics.
			defer msg.SetContext(r.ctx)
			return r.handle(msg, h)
		}
	}, nil
}

// run is one message on its way through its attempts.
type run struct {
	cfg      *Config
	delivery *delivery.Delivery
	ctx      context.Context    //nolint:containedctx // the message's own, to be put back
	entry    *delivery.Snapshot // the message as it came in
}

func (r *run) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	ctx := r.ctx
	if ctx.Err() != nil {
		return nil, fmt.Errorf("not attempted: %w", context.Cause(ctx))
	}
	n, last := 1, r.cfg.MaxAttempts
	if base, ok := r.delivery.Resumed(); ok {
		n, last = base+1, base+1
	}
	for ; ; n++ {
		out, err := r.attempt(msg, h, n)
		switch {
		case err == nil:
			return out, nil
		case ctx.Err() != nil, failure.IsUnavailable(err):
			return nil, err
		case failure.IsPermanent(err), r.cfg.Retryable != nil && !r.cfg.Retryable(err):
			return nil, err
		case n >= last:
			return nil, &ExhaustedError{Attempts: n, Err: err}
		}
		delay := r.delay(n, err)
		r.tell(msg, n, delay, err)
		if cause := backoff.Wait(ctx, delay); cause != nil {
			return nil, fmt.Errorf("interrupted after attempt %d: %w: %w", n, cause, err)
		}
		r.restore(msg)
	}
}

func (r *run) attempt(msg *message.Message, h message.HandlerFunc, n int) ([]*message.Message, error) {
	start := time.Now()
	r.delivery.Begin(n)
	out, err := h(msg)
	msg.SetContext(r.ctx)
	if err != nil && (r.ctx.Err() != nil || failure.IsUnavailable(err)) {
		return nil, err // not an attempt
	}
	r.delivery.Add(n, start, time.Since(start), err)
	return out, err
}

// delay is computed once for each wait, so that hooks, events and the wait
// itself agree.
func (r *run) delay(failures int, err error) time.Duration {
	if d, ok := failure.Delay(err); ok {
		return min(max(d, 0), r.cfg.Max)
	}
	return r.cfg.policy().Delay(failures)
}

func (r *run) tell(msg *message.Message, n int, delay time.Duration, err error) {
	if r.cfg.OnRetry != nil {
		r.cfg.OnRetry(msg, n, delay, err)
	}
	r.cfg.Observe.Emit(event.Event{
		Kind: event.Retried, Handler: r.delivery.Scope(), Topic: r.delivery.Topic, Key: r.delivery.Key(),
		MessageID: r.entry.UUID, Attempt: n, Delay: delay, Err: err,
	})
}

func (r *run) restore(msg *message.Message) {
	msg.UUID, msg.Payload, msg.Metadata = r.entry.UUID, r.entry.Payload, r.entry.Metadata()
	msg.SetContext(r.ctx)
}
