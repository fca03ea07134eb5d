package task

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// The defaults.
const (
	DefaultMaxAttempts   = 20
	DefaultMaxAge        = 7 * 24 * time.Hour
	DefaultMaxRetryAfter = 24 * time.Hour
	DefaultAway          = 30 * time.Second
	DefaultTimeout       = 30 * time.Second
)

// DefaultDelays are the waits after the first, second, … failed attempt; the last one
// is repeated: with DefaultMaxAttempts, 14 hours in all.
func DefaultDelays() []time.Duration {
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
		5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
	}
}

// AlertDead is the name of the alert that a task was given up.
const AlertDead = "task_dead"

// Config of a Queue. The zero value is ready for use.
type Config struct {
	// Dialect, Schema and Prefix say where the tables are, as in
	// forwarder.Config. Default: told from the driver, the connection's own
	// schema, "sluicegate_".
	Dialect        forwarder.Dialect
	Schema, Prefix string

	// Delays are the waits after the first, second, … failed attempt; the last is
	// repeated. Each is 0 to 366 days. Default: DefaultDelays.
	Delays []time.Duration
	// MaxAttempts is after how many failed attempts a task is dead. Default 20.
	MaxAttempts int
	// MaxAge is how long after it was added a task may fail, or meet an outage, and be
	// tried again. Default 7 days. Negative: for ever.
	MaxAge time.Duration
	// MaxRetryAfter bounds what retry.RetryAfter asks for. Default 24 h.
	MaxRetryAfter time.Duration
	// Away is the wait after an outage, which spends no attempt. Default 30 s.
	Away time.Duration
	// Jitter is the random part that is added to each wait, as a fraction of it, up to 1.
	// Default 0.05. NoJitter: none.
	Jitter float64
	// Timeout is how long one attempt may take. Default 30 s.
	Timeout time.Duration

	// Concurrency is how many tasks are at work at a time, up to 1000. Default 16.
	Concurrency int
	// PerTarget is how many of them may be of one target. Default: three quarters.
	PerTarget int
	// Lease is how long a task stays with a process that died. At least 100 ms.
	// Default 1 min.
	Lease time.Duration
	// PollMax is how late a task may be found that another process has added.
	// Default 5 s.
	PollMax time.Duration

	// Retain is how long tasks that are done or cancelled can be looked up. Default
	// 24 h. Negative: for ever.
	Retain time.Duration
	// RetainDead is how long dead ones can. Default 15 days. Negative: for ever.
	RetainDead time.Duration

	// Dead runs in the transaction in which a task becomes dead, whatever it died of: rows of
	// your own that say so cannot come apart from it. As with Outcome.And it may be called
	// again; where it returns an error, the task is tried once more after Away. Default:
	// nothing.
	Dead func(ctx context.Context, tx *sql.Tx, t Task) error
	// Alerts is told AlertDead of each task that is dead, with the queue and the target
	// as labels. Default: nobody.
	Alerts alert.Emitter
	// Logger hears of what no caller can be told. Default: discards.
	Logger *slog.Logger
	// Now is the clock, for tests. Default: the database's, and time.Now for MaxAge.
	Now func() time.Time
}

// NoJitter is a Config.Jitter of none at all.
const NoJitter = schedule.NoJitter

// quickest is the shortest time between two looks that found nothing.
const quickest = 100 * time.Millisecond

const maxWait = 366 * 24 * time.Hour

// withDefaults returns a copy with every default in place, or every problem. What
// only the engine's worker knows, it checks itself.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("Config."+format, args...)) }
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"MaxRetryAfter", &c.MaxRetryAfter, DefaultMaxRetryAfter},
		{"Away", &c.Away, DefaultAway},
		{"Timeout", &c.Timeout, DefaultTimeout},
	} {
		if *d.value < 0 || *d.value > maxWait {
			bad("%s: %v, use up to %v", d.name, *d.value, maxWait)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if len(c.Delays) == 0 {
		c.Delays = DefaultDelays()
	}
	for i, d := range c.Delays {
		if d < 0 || d > maxWait {
			bad("Delays[%d]: %v, use 0 to %v", i, d, maxWait)
		}
	}
	c.Delays = slices.Clone(c.Delays)
	if c.MaxAttempts < 0 {
		bad("MaxAttempts: %d is negative", c.MaxAttempts)
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.PollMax < 0 || c.PollMax > 0 && c.PollMax < quickest {
		bad("PollMax: %v, use at least %v", c.PollMax, quickest)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}
