package idempotency

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lease is a claim that a timer renews: a handler that is done before the first
// beat costs no goroutine.
type lease struct {
	work   *work
	beats  context.Context //nolint:containedctx // it ends with stop, and so do the beats
	cancel context.CancelFunc
	lost   context.CancelCauseFunc

	mu      sync.Mutex
	until   time.Time // by our clock, counted from before the store was asked
	timer   *time.Timer
	stopped bool
	beating chan struct{} // closed when the beat under way ends; nil between beats
}

// keepLease renews the claim every Heartbeat until stop. Once the store says
// that the record is another's, it calls lost with ErrLeaseLost. A store that
// does not answer says nothing of the kind: the next beat asks again.
func (w *work) keepLease(ctx context.Context, lost context.CancelCauseFunc) *lease {
	l := &lease{work: w, lost: lost, until: w.asked.Add(w.cfg.Lease)}
	// A handler that goes on after its message's context has ended, because it
	// drains, still needs the record.
	l.beats, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(w.cfg.Heartbeat, l.beat)
	return l
}

func (l *lease) beat() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	ended := make(chan struct{})
	l.beating = ended
	l.mu.Unlock()
	defer close(ended)

	asked := time.Now()
	err := l.work.extend(l.beats)
	if errors.Is(err, ErrLeaseLost) {
		l.lost(ErrLeaseLost)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.until = asked.Add(l.work.cfg.Lease)
	}
	if l.beating = nil; !l.stopped {
		l.timer.Reset(l.work.cfg.Heartbeat)
	}
}

// extend gives one renewal the time of one heartbeat, so that a lost packet
// does not cost the lease.
func (w *work) extend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Heartbeat)
	defer cancel()
	return w.store.Extend(ctx, w.claim.Key, w.claim.Token, w.cfg.Lease)
}

// stop ends the beats, waits for the one under way, and returns when the lease
// ends. It may be called again.
func (l *lease) stop() time.Time {
	l.mu.Lock()
	l.stopped = true
	l.timer.Stop()
	beating := l.beating
	l.mu.Unlock()
	l.cancel()
	if beating != nil {
		<-beating
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}
