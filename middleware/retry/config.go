package retry

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/event"
)

// The defaults.
const (
	DefaultMaxAttempts = 3
	DefaultInitial     = 100 * time.Millisecond
	DefaultMax         = 5 * time.Second
	DefaultMultiplier  = 2.0
)

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on the handler's
// goroutine and must neither block nor panic.
type Observer = event.Observer

// Jitter says how delays are spread.
type Jitter uint8

const (
	// FullJitter draws each delay between zero and the backoff's bound.
	FullJitter Jitter = iota
	// NoJitter waits for the bound itself.
	NoJitter
)

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// MaxAttempts is how often the handler is called in all, the first call
	// included. Default 3.
	MaxAttempts int
	// Initial is the bound of the delay after the first failure. Default 100 ms.
	Initial time.Duration
	// Max caps every delay, also one asked for by RetryAfter. Default 5 s, or
	// Initial where that is longer.
	Max time.Duration
	// Multiplier is the growth of the bound from one failure to the next, at
	// least 1. Default 2.
	Multiplier float64
	// Jitter spreads the delays. Default FullJitter.
	Jitter Jitter
	// Retryable says whether another attempt can cure an error. It is not asked
	// about Permanent and Unavailable errors. Default: it always can.
	Retryable func(error) bool
	// OnRetry is called before each wait, on the handler's goroutine, with the
	// number of the attempt that failed, from 1, and the delay that is then
	// kept. Default: nothing.
	OnRetry func(msg *message.Message, attempt int, delay time.Duration, err error)
	// Observe is told Retried, with the same facts. Default: nobody.
	Observe Observer
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxAttempts < 0 {
		bad("Config.MaxAttempts: %d is negative; use 1 or more, or 0 for %d", c.MaxAttempts, DefaultMaxAttempts)
	}
	if c.Initial < 0 {
		bad("Config.Initial: %s is negative; use a duration, or 0 for %s", c.Initial, DefaultInitial)
	}
	if c.Max < 0 {
		bad("Config.Max: %s is negative; use a duration, or 0 for %s", c.Max, DefaultMax)
	}
	if c.Multiplier != 0 && (c.Multiplier < 1 || math.IsNaN(c.Multiplier) || math.IsInf(c.Multiplier, 0)) {
		bad("Config.Multiplier: %v must be at least 1, or 0 for %v", c.Multiplier, DefaultMultiplier)
	}
	if c.Jitter > NoJitter {
		bad("Config.Jitter: %d is unknown; use FullJitter or NoJitter", c.Jitter)
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.Initial == 0 {
		c.Initial = DefaultInitial
	}
	if c.Max == 0 {
		c.Max = max(DefaultMax, c.Initial)
	}
	if c.Multiplier == 0 {
		c.Multiplier = DefaultMultiplier
	}
	if c.Max > 0 && c.Max < c.Initial {
		bad("Config.Max: %s is less than Initial, %s", c.Max, c.Initial)
	}
	return c, errors.Join(errs...)
}

func (c Config) policy() backoff.Policy {
	return backoff.Policy{Initial: c.Initial, Max: c.Max, Multiplier: c.Multiplier, Jitter: c.Jitter == FullJitter}
}
