package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Handler works a task and says what becomes of it. It runs beside others, up to
// the Worker's limits. Its context ends when the claim is lost, with the cause
// ErrStale, or when the Worker stops. A final Outcome counts even then; Waiting
// gives the task back as it was, with no attempt spent, unless the Outcome says
// Spent. The lease is renewed until the Handler has returned. A panic, and an Outcome
// that is not valid, are taken as WorkerConfig.Failed says.
type Handler func(ctx context.Context, t Task) Outcome

// NoJitter is a WorkerConfig.Jitter of none at all.
const NoJitter = -1

// WorkerConfig configures NewWorker.
type WorkerConfig struct {
	// Concurrency is how many tasks are worked on at a time, up to 1000. Default: 16.
	Concurrency int
	// PerTarget is how many of them may be of one target. Default: three quarters
	// of Concurrency, so that a slow target leaves room for the others. It
	// counts in this worker alone.
	PerTarget int
	// Aside is how many tasks may be at work without a place, because their handlers
	// wait for others and have said so by Aside. Default: none.
	Aside int
	// Lease is how long a task stays with a worker that has died or is frozen; the
	// lease of one that lives is renewed at each third of it. At least 100 ms.
	// Default: 1 minute.
	Lease time.Duration
	// PollMin is the shortest time between two looks that found nothing. Default:
	// 100 ms.
	PollMin time.Duration
	// PollMax is the longest time between two looks: what another process has
	// added, to be due at once, is found after that at the latest. Tasks in the table
	// are worked when they are due, not at the next poll. Default: 5 s.
	PollMax time.Duration
	// Jitter is the random part that is added to the Delay of an Outcome, as a
	// fraction of it, up to 1: tasks that failed together do not come back together.
	// Default: 0.05. NoJitter: none.
	Jitter float64
	// Targets are those to claim from, asked before each claim; an empty answer is
	// none. Default: any target.
	Targets func() []string
	// Failed says what becomes of a task whose handler panicked, or returned an
	// Outcome that is not valid. Default: one attempt more, and again after a
	// minute for each, up to an hour.
	Failed func(t Task, err error) Outcome
	// Retain is how long Done, Cancelled and Expired tasks are kept. Default: 24
	// hours. Negative: for ever.
	Retain time.Duration
	// RetainDead is how long Dead tasks are kept. Default: 15 days. Negative: for
	// ever.
	RetainDead time.Duration
	// Logger hears of what no caller can be told. Default: nobody.
	Logger *slog.Logger
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c WorkerConfig) withDefaults() WorkerConfig {
	orDefault(&c.Concurrency, 16)
	orDefault(&c.PerTarget, (3*c.Concurrency+3)/4)
	orDefault(&c.Lease, time.Minute)
	orDefault(&c.PollMin, 100*time.Millisecond)
	orDefault(&c.PollMax, max(5*time.Second, c.PollMin))
	orDefault(&c.Jitter, 0.05)
	orDefault(&c.Retain, 24*time.Hour)
	orDefault(&c.RetainDead, 15*24*time.Hour)
	if c.Failed == nil {
		c.Failed = failed
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func failed(t Task, err error) Outcome {
	n := t.Attempts + 1
	return Outcome{Status: Waiting, Delay: time.Duration(min(n, 60)) * time.Minute, Attempts: n, Error: err.Error()}
}

func (c WorkerConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("WorkerConfig."+format, args...)) }
	if c.Concurrency < 1 || c.Concurrency > maxLimit {
		bad("Concurrency: %d, use 1 to %d", c.Concurrency, maxLimit)
	}
	if c.PerTarget < 1 || c.PerTarget > c.Concurrency {
		bad("PerTarget: %d, use 1 to Concurrency", c.PerTarget)
	}
	if c.Aside < 0 {
		bad("Aside: %d, must not be negative", c.Aside)
	}
	if c.Lease < 100*time.Millisecond || c.Lease > maxDelay {
		bad("Lease: %v, use at least 100 ms", c.Lease)
	}
	if c.PollMin < time.Millisecond {
		bad("PollMin: %v, use at least 1 ms", c.PollMin)
	}
	if c.PollMax < c.PollMin {
		bad("PollMax: %v, use at least PollMin, %v", c.PollMax, c.PollMin)
	}
	if c.Jitter != NoJitter && !(c.Jitter >= 0 && c.Jitter <= 1) {
		bad("Jitter: %v, use 0 to 1 or NoJitter", c.Jitter)
	}
	return errors.Join(errs...)
}
