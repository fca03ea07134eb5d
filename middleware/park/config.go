package park

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/header"
)

// DefaultPutTimeout is that of Config.PutTimeout.
const DefaultPutTimeout = 10 * time.Second

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on the goroutine that has
// the message at work, and must neither block nor panic.
type Observer = event.Observer

// Config of a Parker. The zero value is ready to use.
type Config struct {
	// Policy is that of every handler without one of its own. Default: 4 minutes,
	// then every minute, 50 attempts in all.
	Policy Policy
	// Handlers has the policies of single handlers, by the handler's name without
	// a consumer. Default none.
	Handlers map[string]Policy

	// Immediate is how many attempts a message gets at once that has been held or
	// excused before its first. Default 1.
	Immediate int
	// Key finds the idempotency key of a message for which no layer inside has
	// told one. Default: the metadata sluicegate_idempotency_key, else the UUID.
	Key func(msg *message.Message) (string, error)
	// Retryable says whether a later attempt can cure an error; what it refuses
	// goes on outwards. It is not asked about errors marked as permanent or
	// unavailable. Default: it always can.
	Retryable func(error) bool
	// Excusable says whether a message may be parked whose dependency is
	// unavailable; what it refuses goes back to the broker. It is not asked about
	// a message that is parked already. Default: it may, unless another delivery
	// of it is at work.
	Excusable func(ctx context.Context, err error) bool
	// Paused says that no parked message of a scope is to be tried now, because what
	// its handler depends on is known to be away. It is asked at least every PollMax.
	// Default: none is.
	Paused func(scope string) bool
	// Decided says that a message which is to be held needs no task, because its
	// idempotency record says that it is handled, set aside or parked: it goes on to the
	// layers inside, which do not run it. Held, it could outlive the record, and run.
	// Default: every message is held.
	Decided func(ctx context.Context, scope, key string) (bool, error)
	// Put stores a message, in place of Table.Add. An error that is not marked as
	// permanent has the message go back to the broker.
	Put func(ctx context.Context, s Spec) (stored bool, err error)
	// PutTimeout limits the storing of one message. Default 10 s.
	PutTimeout time.Duration

	// Concurrency is how many parked messages Run has at work at a time. Default 16.
	Concurrency int
	// PerHandler is how many of them may be one handler's. Default: three quarters
	// of Concurrency.
	PerHandler int
	// Lease is how long a message stays with a process that died while it was at
	// work on it. Default 1 minute.
	Lease time.Duration
	// PollMax is how long a message that another process has parked may be late.
	// Default 5 s.
	PollMax time.Duration
	// Retain is how long the table has what has ended well, or was cancelled.
	// Default 24 hours. Negative: for ever.
	Retain time.Duration
	// RetainDead is how long it has what was given up. Default 15 days. Negative: for
	// ever.
	RetainDead time.Duration

	// Now is the clock that ages and windows go by, for tests. Default time.Now.
	Now func() time.Time
	// Observe is told Parked, Resumed and Duplicate. Default: nobody.
	Observe Observer
	// Logger hears of what no caller can be told. Default: discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	errs := []error{c.Policy.validate("Config.Policy")}
	for _, name := range slices.Sorted(maps.Keys(c.Handlers)) {
		errs = append(errs, c.Handlers[name].validate(fmt.Sprintf("Config.Handlers[%q]", name)))
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("Config."+format, args...)) }
	if c.Immediate < 0 {
		bad("Immediate: %d is negative", c.Immediate)
	}
	if c.PutTimeout < 0 {
		bad("PutTimeout: %v is negative", c.PutTimeout)
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	c.Policy = c.Policy.withDefaults()
	handlers := make(map[string]Policy, len(c.Handlers))
	for name, p := range c.Handlers {
		handlers[name] = p.withDefaults()
	}
	c.Handlers = handlers
	for name, p := range c.all() {
		if p.MaxAttempts <= c.Immediate {
			bad("%s.MaxAttempts: %d is not more than the %d immediate attempts: nothing would ever be parked", name, p.MaxAttempts, c.Immediate)
		}
	}
	if c.Immediate == 0 {
		c.Immediate = 1
	}
	if c.Key == nil {
		c.Key = defaultKey
	}
	if c.PutTimeout == 0 {
		c.PutTimeout = DefaultPutTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// all has every schedule with the field that it is in.
func (c Config) all() map[string]Schedule {
	out := map[string]Schedule{}
	add := func(at string, p Policy) {
		out[at] = p.Schedule
		for i, class := range p.Classes {
			out[fmt.Sprintf("%s.Classes[%d].Schedule", at, i)] = class.Schedule
		}
	}
	add("Policy", c.Policy)
	for name, p := range c.Handlers {
		add(fmt.Sprintf("Handlers[%q]", name), p)
	}
	return out
}

// policy returns that of a handler.
func (c Config) policy(handler string) *Policy {
	if p, ok := c.Handlers[handler]; ok {
		return &p
	}
	return &c.Policy
}

var errNoKey = errors.New("message has no idempotency key")

func defaultKey(msg *message.Message) (string, error) {
	if key := msg.Metadata.Get(header.IdempotencyKey); key != "" {
		return key, nil
	}
	if msg.UUID == "" {
		return "", errNoKey
	}
	return msg.UUID, nil
}
