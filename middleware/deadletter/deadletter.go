package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/text"
)

// The defaults.
const (
	DefaultPutTimeout = 10 * time.Second
	DefaultMaxReason  = 2048
)

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on the handler's
// goroutine and must neither block nor panic.
type Observer = event.Observer

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// PutTimeout limits the storing of one letter. Default 10 s.
	PutTimeout time.Duration
	// MaxReason is how many bytes of the error's text a letter keeps, at least
	// 16. Default 2048.
	MaxReason int
	// Observe is told DeadLettered after a letter was stored, and Returned for
	// a message that goes back without one. Default: nobody.
	Observe Observer
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.PutTimeout < 0 {
		errs = append(errs, fmt.Errorf("Config.PutTimeout: %s is negative; use a duration, or 0 for %s", c.PutTimeout, DefaultPutTimeout))
	}
	if c.MaxReason != 0 && c.MaxReason < 16 {
		errs = append(errs, fmt.Errorf("Config.MaxReason: %d is less than 16; use more, or 0 for %d", c.MaxReason, DefaultMaxReason))
	}
	if c.PutTimeout == 0 {
		c.PutTimeout = DefaultPutTimeout
	}
	if c.MaxReason == 0 {
		c.MaxReason = DefaultMaxReason
	}
	return c, errors.Join(errs...)
}

// StoreError says that a message failed and could not be set aside either.
type StoreError struct {
	Err    error // of the store
	Reason error // of the handler
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("store dead letter: %v; it failed with: %v", e.Err, e.Reason)
}

// Unwrap returns both errors.
func (e *StoreError) Unwrap() []error { return []error{e.Err, e.Reason} }

// New returns the middleware on store. It is safe for concurrent use and owns
// no goroutine.
func New(store Store, cfg Config) (message.HandlerMiddleware, error) {
	cfg, err := cfg.withDefaults()
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("configure deadletter: %w", err)
	}
	s := &setter{store: store, cfg: cfg}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { return s.handle(msg, h) }
	}, nil
}

type setter struct {
	store Store
	cfg   Config
}

func (s *setter) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	ctx := msg.Context() // an inner layer may leave another one behind
	snapshot, start := d.Snapshot(msg), time.Now()
	out, err := h(msg)
	if err == nil {
		return out, nil
	}
	return nil, s.failed(ctx, d, snapshot.Message(), start, err)
}

// failed is apart, so that a message that succeeds has a small stack.
func (s *setter) failed(ctx context.Context, d *delivery.Delivery, received *message.Message, start time.Time, err error) error {
	told := event.Event{
		Kind: event.Returned, Handler: d.Scope(), Topic: d.Topic, Key: d.Key(),
		MessageID: received.UUID, Attempt: d.Attempt(), Err: err,
	}
	if ctx.Err() != nil || failure.IsUnavailable(err) {
		s.cfg.Observe.Emit(told)
		return err
	}
	l := s.letter(ctx, d, received, start, err)
	if putErr := s.put(ctx, l); putErr != nil {
		return &StoreError{Err: putErr, Reason: err}
	}
	told.Kind, told.Key, told.Attempt = event.DeadLettered, l.Key, l.Attempts[len(l.Attempts)-1].Number
	s.cfg.Observe.Emit(told)
	return nil
}

func (s *setter) letter(ctx context.Context, d *delivery.Delivery, received *message.Message, start time.Time, err error) Letter {
	attempts := d.Attempts()
	if len(attempts) == 0 {
		// Nobody inside counts: this was the one.
		d.Add(1, start, time.Since(start), err)
		attempts = d.Attempts()
	}
	key := d.Key()
	if key == "" {
		key = received.Metadata.Get(header.IdempotencyKey)
	}
	l := Letter{
		Consumer: d.Consumer, Handler: d.Handler, Topic: d.Topic,
		Subscriber: message.SubscriberNameFromCtx(ctx), Key: key, Message: received,
		Reason: text.Short(err.Error(), s.cfg.MaxReason), Err: err, Attempts: attempts, At: time.Now(),
	}
	if e := parked.From(ctx); e != nil {
		l.Epoch, l.Previous, l.Attempts = e.Epoch, e.Letter, history(e.Attempts, attempts)
		if l.Subscriber == "" {
			l.Subscriber = e.Subscriber
		}
	}
	return l
}

// history is what was tried before the message was parked, and since: who calls
// the handler may already have put the former in front.
func history(before, since []Attempt) []Attempt {
	known := func(a Attempt) bool {
		return slices.ContainsFunc(since, func(b Attempt) bool { return a.Number == b.Number && a.StartedAt.Equal(b.StartedAt) })
	}
	return append(slices.DeleteFunc(slices.Clone(before), known), since...)
}

// put stores l although the message's context may end meanwhile: the handler
// has failed for good, and the letter must not be lost to a shutdown.
func (s *setter) put(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.PutTimeout)
	defer cancel()
	return s.store.Put(ctx, l)
}
