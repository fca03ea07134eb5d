package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// run calls the handler under the claim and settles the record: done where the
// handler succeeded, released in every other case, a panic included.
func (w *work) run(next message.HandlerFunc) (produced []*message.Message, err error) {
	own := w.msg.Context()
	ctx := delivery.WithCancel(own, fenceKey{}, w.rec.Attempt)
	defer ctx.Cancel(context.Canceled)
	lease := w.keepLease(own, ctx.Cancel)
	settled := false
	defer func() {
		lease.Stop()
		if !settled {
			w.release(own)
		}
	}()
	w.msg.SetContext(ctx)
	defer w.msg.SetContext(own)

	produced, err = next(w.msg)
	if err != nil {
		return nil, w.failed(ctx, err)
	}
	result, err := encodeMessages(produced)
	if err != nil {
		return nil, failure.Permanent(fmt.Errorf("store outputs: %w", err))
	}
	settled = true
	return w.succeeded(own, produced, result, lease.Stop())
}

// keepLease renews the claim until Stop; what is lost goes to lost.
func (w *work) keepLease(ctx context.Context, lost func(cause error)) *idemstore.Lease {
	l := &w.lease
	l.Store, l.Key, l.Token, l.Term, l.Beat, l.Lost = w.store, w.claim.Key, w.claim.Token, w.cfg.Lease, w.cfg.Heartbeat, lost
	l.Keep(ctx, w.asked)
	return l
}

// failed passes the handler's error on. One that came of the lost lease says
// nothing about the message.
func (w *work) failed(ctx context.Context, err error) error {
	if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
		return err
	}
	w.emit(event.LeaseLost, err)
	return failure.Unavailable(fmt.Errorf("%w: %w", ErrLeaseLost, err))
}

// succeeded marks the record done.
func (w *work) succeeded(ctx context.Context, produced []*message.Message, result []byte, leaseEnd time.Time) ([]*message.Message, error) {
	err := w.complete(ctx, result, leaseEnd)
	switch {
	case err == nil:
		w.emit(event.Handled, nil)
		return produced, nil
	case errors.Is(err, ErrLeaseLost):
		// Another delivery runs, or has run, and answers for the message. An
		// ack here could be the last that the broker hears of it.
		w.emit(event.LeaseLost, err)
		return nil, failure.Unavailable(fmt.Errorf("mark message as done: %w", err))
	default:
		w.emit(event.Unmarked, err)
		w.cfg.Logger.Error("message was handled but could not be marked as done; a redelivery would be handled again",
			"handler", w.claim.Key.Handler, "message_id", w.msg.UUID, "attempt", w.rec.Attempt, "error", err)
		return produced, nil
	}
}

var completePolicy = backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}

// complete tries until the lease ends: up to then nobody else can have claimed
// the record. The end of the message's context does not undo the effect, so it
// does not end this either. It is tried once more after a lease that could not
// be renewed, for it succeeds unless somebody did claim.
func (w *work) complete(ctx context.Context, result []byte, leaseEnd time.Time) error {
	if grace := time.Now().Add(w.cfg.Heartbeat); leaseEnd.Before(grace) {
		leaseEnd = grace
	}
	end := delivery.WithoutCancel(ctx, leaseEnd)
	defer end.Cancel(context.Canceled)
	ctx = end
	for n := 1; ; n++ {
		err := w.store.Complete(ctx, w.claim.Key, w.claim.Token, result, w.cfg.Retention)
		if err == nil || errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrInvalid) {
			return err
		}
		if backoff.Wait(ctx, completePolicy.Delay(n)) != nil {
			return err
		}
	}
}

// releaseWait bounds a release: without it the record is free when its lease
// ends, so the nack should not wait for long.
const releaseWait = 2 * time.Second

func (w *work) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(w.cfg.Lease, releaseWait))
	defer cancel()
	if err := w.store.Release(ctx, w.claim.Key, w.claim.Token); err != nil && !errors.Is(err, ErrLeaseLost) {
		w.cfg.Logger.Warn("idempotency record could not be released; the message waits until its lease ends",
			"handler", w.claim.Key.Handler, "message_id", w.msg.UUID, "error", err)
	}
}
