package idempotency

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// New returns the middleware that claims a message's record in store, runs the
// handler, and marks the record done with the messages that it produced.
//
// It returns what the handler returned; for a duplicate, what the handler
// returned the first time, to be published again before the ack. An error of
// its own is marked as unavailable where another delivery can do better (the
// record is busy or lost, the store is away) and as permanent where none can
// (no key, another payload, in doubt). Where the store cannot be told of a
// success before the lease ends, the message is acked all the same, since a
// nack would make sure of a second run; Unmarked tells of it.
//
// The handler's context is the message's with Fence, and is cancelled with
// ErrLeaseLost once another delivery has taken the record. The middleware is
// safe for concurrent use; a timer renews the lease of each running handler and
// ends with it.
func New(store Store, cfg Config) (message.HandlerMiddleware, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	c := &claimer{store: store, cfg: cfg, process: rand.Text()[:16]}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { return c.handle(next, msg) }
	}, nil
}

type claimer struct {
	store      Store
	cfg        Config
	process    string // begins the tokens, so that no other process has them
	deliveries atomic.Uint64
}

// token names a delivery.
func (c *claimer) token() string {
	b := append(make([]byte, 0, 32), c.process...)
	return string(strconv.AppendUint(append(b, '-'), c.deliveries.Add(1), 36))
}

// work is one message on its way through.
type work struct {
	*claimer
	msg   *message.Message
	d     *delivery.Delivery
	claim Claim
	rec   Record
	asked time.Time // when the claim that won was asked for
	lease idemstore.Lease
}

func (c *claimer) handle(next message.HandlerFunc, msg *message.Message) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	key, err := keyOf(c.cfg.Key, c.cfg.Consumer, c.cfg.Handler, d, msg)
	if err != nil {
		return nil, failure.Permanent(err)
	}
	d.SetKey(key.ID)
	w := &work{claimer: c, msg: msg, d: d}
	w.claim = Claim{Key: key, Token: c.token(), Lease: c.cfg.Lease, Retention: c.cfg.Retention}
	resume(d, &w.claim)
	if c.cfg.Fingerprint != nil {
		w.claim.Fingerprint = c.cfg.Fingerprint(msg)
	}
	if err := w.obtain(msg.Context()); err != nil {
		return nil, err
	}
	switch w.rec.Verdict {
	case Finished:
		if err := unresumed(w.claim, w.rec); err != nil {
			return nil, err
		}
		return w.duplicate(d)
	case Mismatch:
		return nil, failure.Permanent(&MismatchError{Key: key})
	case Takeover:
		w.emit(event.Takeover, nil)
		if c.cfg.TakeoverPolicy == Park {
			return nil, failure.Permanent(&InDoubtError{Key: key, Attempt: w.rec.Attempt})
		}
	default: // ours
	}
	return w.run(next)
}

// resume asks to go on with a parked message, where d is a delivery by its task.
func resume(d *delivery.Delivery, c *Claim) {
	if base, ok := d.Resumed(); ok {
		c.Resume, c.Attempt = true, max(c.Attempt, int64(base)+1)
	}
}

var errUnresumed = errors.New("the idempotency store did not resume a parked record")

// unresumed is the error of a store that does not know Claim.Resume: what it
// finds parked is no effect that exists, and an ack would lose the message.
func unresumed(c Claim, rec Record) error {
	if c.Resume && rec.State == Parked {
		return failure.Unavailable(fmt.Errorf("handler %q: %w", c.Key.Handler, errUnresumed))
	}
	return nil
}

// busyPolicy spreads the claims of those who wait for one record.
var busyPolicy = backoff.Policy{Initial: 20 * time.Millisecond, Max: 500 * time.Millisecond, Multiplier: 2, Jitter: true}

// obtain asks for the record until it has an answer other than Busy.
func (w *work) obtain(ctx context.Context) (err error) {
	began := time.Now()
	w.asked = began
	for n := 1; ; n++ {
		w.rec, err = w.store.Claim(ctx, w.claim)
		if err != nil {
			return w.refused(ctx, err)
		}
		if w.rec.Verdict != Busy {
			return nil
		}
		left := w.cfg.BusyWait - time.Since(began)
		if left <= 0 {
			w.emit(event.Busy, nil)
			return failure.Unavailable(&busyError{key: w.claim.Key})
		}
		if err := backoff.Wait(ctx, min(left, busyPolicy.Delay(n))); err != nil {
			return fmt.Errorf("wait for another delivery of the key: %w", err)
		}
		w.asked = time.Now()
	}
}

// refused is an error of the claim itself. The handler has not run, so no
// attempt is spent. The claim may have been made all the same: the release
// keeps the redelivery from waiting for its lease.
func (w *work) refused(ctx context.Context, err error) error {
	if errors.Is(err, ErrInvalid) {
		return failure.Permanent(fmt.Errorf("claim message: %w", err))
	}
	w.release(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("claim message: %w", errors.Join(context.Cause(ctx), err))
	}
	return failure.Unavailable(fmt.Errorf("claim message: %w", err))
}

// duplicate answers a delivery whose effect exists already, or is not wanted.
func (w *work) duplicate(d *delivery.Delivery) ([]*message.Message, error) {
	produced, err := decodeMessages(w.rec.Result)
	if err != nil {
		return nil, failure.Permanent(fmt.Errorf("read stored outputs: %w", err))
	}
	d.Replay()
	w.emit(event.Duplicate, nil)
	return produced, nil
}

func (w *work) emit(kind event.Kind, err error) {
	if w.cfg.Observe == nil {
		return
	}
	e := factOf(w.claim.Key, w.d, w.msg)
	e.Kind, e.Err = kind, err
	if kind != event.Duplicate && kind != event.Busy {
		e.Attempt = int(w.rec.Attempt)
	}
	w.cfg.Observe.Emit(e)
}

func factOf(key Key, d *delivery.Delivery, msg *message.Message) event.Event {
	return event.Event{Handler: key.Handler, Topic: d.Topic, Key: key.ID, MessageID: msg.UUID}
}
