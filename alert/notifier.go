package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// Config of a Notifier. The zero value is ready to use.
type Config struct {
	// Repeat is how long after an alert was sent those of its fingerprint are
	// only counted. Default 4 h.
	Repeat time.Duration
	// Buffer is how many fingerprints are remembered; an alert with a new one
	// is dropped while all of them are in use. Default 1024.
	Buffer int
	// SendTimeout limits one call of the channel. Default 10 s.
	SendTimeout time.Duration
	// MaxAttempts is how often one alert is offered to a failing channel, with
	// pauses from 1 s up to 1 min, before it is given up: Stats counts it as
	// Failed, and the next of its fingerprint is sent at once. Default 5.
	MaxAttempts int
	// Drain is how long Run goes on sending after its context has ended, each
	// alert once. Default 5 s.
	Drain time.Duration
	// Logger is told why the channel failed. Default: nobody.
	Logger *slog.Logger
}

// Stats are counters since New.
type Stats struct {
	Sent       int64 // alerts that the channel accepted
	Suppressed int64 // occurrences that were folded into another alert
	Dropped    int64 // occurrences that found no place
	Failed     int64 // alerts that the channel refused until they were given up
}

// Notifier folds alerts and sends them to a channel. It is safe for concurrent
// use; nothing is sent while Run does not run.
type Notifier struct {
	channel Channel
	cfg     Config
	wake    chan struct{}

	mu      sync.Mutex
	running bool
	known   map[string]*entry
	queue   []*entry // those to send, in order
	stats   Stats
}

// entry is one fingerprint.
type entry struct {
	alert  Alert     // the last occurrence, with the count since the last one sent
	queued bool      // in the queue, or being sent
	sentAt time.Time // zero: never, or given up
}

// New returns a Notifier on channel.
func New(channel Channel, cfg Config) (*Notifier, error) {
	cfg, err := cfg.withDefaults()
	if channel == nil {
		err = errors.Join(errors.New("channel: is nil"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("configure alert notifier: %w", err)
	}
	return &Notifier{channel: channel, cfg: cfg, wake: make(chan struct{}, 1), known: map[string]*entry{}}, nil
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	duration := func(name string, d *time.Duration, def time.Duration) {
		switch {
		case *d < 0:
			errs = append(errs, fmt.Errorf("Config.%s: %s is negative; use a duration, or 0 for %s", name, *d, def))
		case *d == 0:
			*d = def
		}
	}
	number := func(name string, n *int, def int) {
		switch {
		case *n < 0:
			errs = append(errs, fmt.Errorf("Config.%s: %d is negative; use 1 or more, or 0 for %d", name, *n, def))
		case *n == 0:
			*n = def
		}
	}
	duration("Repeat", &c.Repeat, 4*time.Hour)
	number("Buffer", &c.Buffer, 1024)
	duration("SendTimeout", &c.SendTimeout, 10*time.Second)
	number("MaxAttempts", &c.MaxAttempts, 5)
	duration("Drain", &c.Drain, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// Emit takes a to be sent or counted. It never blocks.
func (n *Notifier) Emit(a Alert) {
	now := time.Now()
	if a.At.IsZero() {
		a.At = now
	}
	if a.Severity == "" {
		a.Severity = Warning
	}
	a.Count = max(a.Count, 1)
	if n.take(a, now) {
		select {
		case n.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

func (n *Notifier) take(a Alert, now time.Time) (queued bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fingerprint := a.Fingerprint()
	e := n.known[fingerprint]
	if e == nil {
		if len(n.known) >= n.cfg.Buffer && !n.forget(now) {
			n.stats.Dropped += int64(a.Count)
			return false
		}
		e = &entry{}
		n.known[fingerprint] = e
	}
	count := e.alert.Count
	e.alert = a
	e.alert.Count += count
	if e.queued || (!e.sentAt.IsZero() && now.Sub(e.sentAt) < n.cfg.Repeat) {
		n.stats.Suppressed += int64(a.Count)
		return false
	}
	e.queued = true
	n.queue = append(n.queue, e)
	return true
}

// forget makes room by dropping fingerprints whose repeat time is over.
func (n *Notifier) forget(now time.Time) bool {
	for fingerprint, e := range n.known {
		if !e.queued && now.Sub(e.sentAt) >= n.cfg.Repeat {
			delete(n.known, fingerprint)
		}
	}
	return len(n.known) < n.cfg.Buffer
}

// Stats returns the counters.
func (n *Notifier) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// ErrRunning says that Run was called while it ran.
var ErrRunning = errors.New("alert notifier is running already")

// Run sends until ctx ends, then sends what is left for at most Config.Drain,
// and returns nil. It must not run twice at the same time; it may run again.
func (n *Notifier) Run(ctx context.Context) error {
	n.mu.Lock()
	if n.running {
		n.mu.Unlock()
		return ErrRunning
	}
	n.running = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.running = false
		n.mu.Unlock()
	}()
	for {
		for e, ok := n.first(); ok && ctx.Err() == nil; e, ok = n.first() {
			n.deliver(ctx, e)
		}
		select {
		case <-ctx.Done():
			n.drain(ctx)
			return nil
		case <-n.wake:
		}
	}
}

var pause = backoff.Policy{Initial: time.Second, Max: time.Minute, Multiplier: 2}

// deliver offers the entry at the head of the queue until it is accepted or
// given up. The end of ctx leaves it there for drain.
func (n *Notifier) deliver(ctx context.Context, e *entry) {
	for attempt := 1; ; attempt++ {
		err := n.send(ctx, e)
		if err == nil || ctx.Err() != nil {
			return
		}
		n.cfg.Logger.Warn("alert channel failed", "attempt", attempt, "error", err)
		if attempt >= n.cfg.MaxAttempts {
			n.giveUp(e)
			return
		}
		if backoff.Wait(ctx, pause.Delay(attempt)) != nil {
			return
		}
	}
}

func (n *Notifier) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Drain)
	defer cancel()
	for e, ok := n.first(); ok; e, ok = n.first() {
		if err := n.send(ctx, e); err != nil {
			n.cfg.Logger.Warn("alert not sent at shutdown", "error", err)
			n.giveUp(e)
		}
	}
}

func (n *Notifier) first() (*entry, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return nil, false
	}
	return n.queue[0], true
}

// send offers the head of the queue once, and takes it off where it was accepted.
func (n *Notifier) send(ctx context.Context, e *entry) error {
	n.mu.Lock()
	a := e.alert
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, n.cfg.SendTimeout)
	defer cancel()
	if err := n.channel.Send(ctx, a); err != nil {
		return fmt.Errorf("send alert %s: %w", a.Name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = n.queue[1:]
	e.queued = false
	e.sentAt = time.Now()
	e.alert.Count -= a.Count // what came while it was being sent
	n.stats.Sent++
	return nil
}

func (n *Notifier) giveUp(e *entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = n.queue[1:]
	e.queued = false
	e.sentAt = time.Time{}
	n.stats.Failed++
}
