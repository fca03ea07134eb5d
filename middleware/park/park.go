package park

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Parker parks messages, and gives them to their handlers again while it Runs. It
// is safe for concurrent use and owns no goroutine but within Run.
type Parker struct {
	table  *Table
	cfg    Config
	worker *schedule.Worker

	mu      sync.RWMutex
	entries map[string]entry // by scope
}

// New returns a Parker on table. All problems of cfg are reported together, each
// with its field.
func New(table *Table, cfg Config) (*Parker, error) {
	cfg, err := cfg.withDefaults()
	if table == nil {
		err = errors.Join(errors.New("table: is nil"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("configure park: %w", err)
	}
	if cfg.Put == nil {
		cfg.Put = table.Add
	}
	p := &Parker{table: table, cfg: cfg, entries: map[string]entry{}}
	p.worker, err = schedule.NewWorker(table.schedule, Queue, p.work, schedule.WorkerConfig{
		Concurrency: cfg.Concurrency, PerTarget: cfg.PerHandler, Lease: cfg.Lease, PollMax: cfg.PollMax,
		Retain: cfg.Retain, RetainDead: cfg.RetainDead,
		Jitter:  schedule.NoJitter, // it is the policy's
		Targets: p.scopes, Failed: p.broken, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("configure park: %w", err)
	}
	return p, nil
}

// StoreError says that a message failed and could not be parked either.
type StoreError struct {
	Err    error // of the table
	Reason error // why the message was to be parked; nil where it was to be held
}

func (e *StoreError) Error() string {
	if e.Reason == nil {
		return fmt.Sprintf("hold message: %v", e.Err)
	}
	return fmt.Sprintf("park message: %v; it failed with: %v", e.Err, e.Reason)
}

// Unwrap returns both errors.
func (e *StoreError) Unwrap() []error { return []error{e.Err, e.Reason} }

// Middleware is the layer that parks.
func (p *Parker) Middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		d, undo := delivery.Ensure(msg)
		defer undo()
		if r := resumptionOf(msg.Context()); r != nil {
			return nil, r.handle(next, msg, d)
		}
		if d.Handler == "" { // from no router: nobody could give it back
			return next(msg)
		}
		f := &fresh{p: p, d: d, ctx: msg.Context(), received: d.Snapshot(msg), start: time.Now(), policy: p.cfg.policy(d.Handler)}
		if f.policy.Order == Hold {
			if held, err := f.hold(msg); held || err != nil {
				return nil, err
			}
		}
		out, err := next(msg)
		if err == nil {
			return out, nil
		}
		return nil, f.failed(err)
	}
}

// fresh is a message that the broker has delivered.
type fresh struct {
	p        *Parker
	d        *delivery.Delivery
	ctx      context.Context //nolint:containedctx // the message's own; a layer inside may leave another one behind
	received *delivery.Snapshot
	start    time.Time
	policy   *Policy
}

// hold queues the message where one of its ordering key is parked.
func (f *fresh) hold(msg *message.Message) (bool, error) {
	group := msg.Metadata.Get(header.Key)
	if group == "" {
		return false, nil
	}
	pending, err := f.p.table.pending(f.ctx, f.d.Scope(), group)
	if err != nil {
		return false, failure.Unavailable(&StoreError{Err: err})
	}
	if !pending {
		return false, nil
	}
	key, err := f.p.cfg.Key(msg)
	if err != nil || key == "" {
		return false, nil //nolint:nilerr // the layer inside that needs a key says so
	}
	if f.p.cfg.Decided != nil {
		decided, err := f.p.cfg.Decided(f.ctx, f.d.Scope(), key)
		if err != nil {
			return false, failure.Unavailable(&StoreError{Err: err})
		}
		if decided {
			return false, nil
		}
	}
	f.d.SetKey(key)
	return true, f.put(state{}, 0, 0, nil)
}

// failed parks the message, or returns the error that goes on outwards.
func (f *fresh) failed(err error) error {
	cfg := &f.p.cfg
	switch {
	case f.ctx.Err() != nil, failure.IsPermanent(err):
		return err
	case failure.IsUnavailable(err):
		if cfg.Excusable != nil && !cfg.Excusable(f.ctx, err) || cfg.Excusable == nil && errors.Is(err, failure.ErrBusy) {
			return err
		}
		var s state
		s.excuse(cfg.Now())
		s.note(f.d.Attempts())
		return f.put(s, made(f.d.Attempts()), f.policy.excused(err, 0), err)
	case cfg.Retryable != nil && !cfg.Retryable(err):
		return err
	}
	attempts := f.d.Attempts()
	if len(attempts) == 0 { // nobody inside counts: this was the one
		f.d.Add(1, f.start, time.Since(f.start), err)
		attempts = f.d.Attempts()
	}
	now := cfg.Now()
	s := state{Since: now, Waits: 1}
	n := made(attempts)
	wait, ok := f.policy.wait(err, failed{attempts: n, now: now})
	if !ok {
		return err
	}
	s.note(attempts)
	return f.put(s, n, wait, err)
}

// wait asks the schedule of an error's class.
func (p Policy) wait(err error, f failed) (time.Duration, bool) {
	f.asked = -1
	if d, ok := failure.Delay(err); ok {
		f.asked = min(max(d, 0), p.MaxRetryAfter)
	}
	s := p.scheduleFor(err)
	return s.next(f)
}

func made(attempts []delivery.Record) int {
	if len(attempts) == 0 {
		return 0
	}
	return attempts[len(attempts)-1].Number
}

// put stores the message although its context may end meanwhile.
func (f *fresh) put(s state, attempts int, wait time.Duration, reason error) error {
	spec, err := f.spec(s, attempts, wait, reason)
	if err != nil {
		return failure.Permanent(&StoreError{Err: err, Reason: reason})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), f.p.cfg.PutTimeout)
	defer cancel()
	stored, err := f.p.cfg.Put(ctx, spec)
	switch {
	case err != nil && (failure.IsPermanent(err) || errors.Is(err, schedule.ErrInvalid)):
		return failure.Permanent(&StoreError{Err: err, Reason: reason})
	case err != nil:
		return failure.Unavailable(&StoreError{Err: err, Reason: reason})
	}
	fact := event.Event{
		Kind: event.Parked, Handler: f.d.Scope(), Topic: f.d.Topic, Key: spec.Key, MessageID: f.received.UUID,
		Attempt: attempts, Delay: wait, Err: reason,
	}
	if !stored {
		fact = event.Event{Kind: event.Duplicate, Handler: fact.Handler, Topic: fact.Topic, Key: fact.Key, MessageID: fact.MessageID}
	}
	if stored && wait < f.p.cfg.soon() {
		f.p.worker.Wake()
	}
	f.p.cfg.Observe.Emit(fact)
	return nil
}

// soon is within which time the worker would not look again by itself.
func (c Config) soon() time.Duration {
	if c.PollMax > 0 {
		return c.PollMax
	}
	return 5 * time.Second
}

func (f *fresh) spec(s state, attempts int, wait time.Duration, reason error) (Spec, error) {
	received := f.received.Message()
	key := f.d.Key()
	if key == "" {
		var err error
		if key, err = f.p.cfg.Key(received); err != nil {
			return Spec{}, fmt.Errorf("find idempotency key: %w", err)
		}
	}
	order := received.Metadata.Get(header.Key)
	payload, err := parked.Envelope{
		UUID: received.UUID, Metadata: received.Metadata, Payload: received.Payload,
		Consumer: f.d.Consumer, Handler: f.d.Handler, Topic: f.d.Topic, Subscriber: message.SubscriberNameFromCtx(f.ctx),
		Key: key, Order: order,
	}.Encode()
	if err != nil {
		return Spec{}, fmt.Errorf("park message: %w", err)
	}
	encoded, err := s.encode()
	if err != nil {
		return Spec{}, err
	}
	spec := Spec{
		Queue: Queue, Target: f.d.Scope(), Key: key, Payload: payload, State: encoded,
		Delay: wait, Attempts: attempts,
	}
	if f.policy.Order == Hold && order != "" {
		spec.Group, spec.Hold = order, true
	}
	if reason != nil {
		spec.Error = reason.Error()
	}
	return spec, nil
}
