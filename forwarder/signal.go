package forwarder

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Signal carries wake-ups from the processes that publish to those that relay,
// so that a message leaves at once and not at the next look at the table. It may
// lose some: relays look all the same. Package pgnotify has one for PostgreSQL.
// Both methods are called from goroutines of the outbox's own.
type Signal interface {
	// Send wakes all that listen. It is called after a commit, never inside a
	// transaction, and at most once every Config.SignalEvery.
	Send(ctx context.Context) error
	// Listen calls wake when it listens and for each signal thereafter, from one
	// goroutine, until ctx ends or listening fails, and returns why. It is called
	// again after a failure, unless that is ErrNoSignal.
	Listen(ctx context.Context, wake func()) error
}

// ErrNoSignal is found by errors.Is in what Signal.Listen returns where it can
// never listen. The relay goes on with looking.
var ErrNoSignal = errors.New("no signals can be received")

// sendTimeout bounds one Send.
const sendTimeout = time.Second

// announcer sends signals, at most one in each interval: the first at once, all
// that were asked for meanwhile as one. Its goroutine lives for no longer than
// there is something to send, and for the interval after it.
type announcer struct {
	mu      sync.Mutex
	running bool
	again   bool
	failed  bool // the last Send did; only the first of a row is logged
}

func (o *Outbox) announce() {
	if o.cfg.Signal == nil {
		return
	}
	a := &o.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		a.again = true
		return
	}
	a.running = true
	go o.sendSignals()
}

func (o *Outbox) sendSignals() {
	a := &o.announcer
	for {
		err := o.sendSignal()
		timer := time.NewTimer(o.cfg.SignalEvery)
		<-timer.C
		a.mu.Lock()
		if err != nil && !a.failed {
			o.cfg.Logger.Warn("outbox could not wake the relays of other processes; they will look by themselves", "error", err)
		}
		a.failed = err != nil
		if !a.again {
			a.running = false
			a.mu.Unlock()
			return
		}
		a.again = false
		a.mu.Unlock()
	}
}

func (o *Outbox) sendSignal() error {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	return o.cfg.Signal.Send(ctx)
}

// listen wakes the lanes at each signal until ctx ends.
func (r *Relay) listen(ctx context.Context) {
	signal := r.outbox.cfg.Signal
	if signal == nil {
		return
	}
	retry := backoff{low: r.cfg.RetryMin, high: r.cfg.RetryMax}
	for told := false; ; {
		err := signal.Listen(ctx, func() {
			retry.reset()
			told = false
			r.listening.Store(true)
			r.outbox.wakeLocal()
		})
		r.listening.Store(false)
		if ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			r.outbox.cfg.Logger.Warn("outbox relay hears no signals; it looks by itself", "error", err)
		}
		if errors.Is(err, ErrNoSignal) || !wait(ctx, retry.next(), nil) {
			return
		}
	}
}
