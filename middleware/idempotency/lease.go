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
	work *work
	ctx  context.Context    //nolint:containedctx // of the beats
	end  context.CancelFunc // of the beat under way, which ends with stop
	lost func(cause error)

	mu      sync.Mutex
	until   time.Time // by our clock, counted from before the store was asked
	timer   *time.Timer
	stopped bool
	beating chan struct{} // closed when the beat under way ends; nil between beats
}

// keepLease renews the claim every Heartbeat until stop. Once the store says
// that the record is another's, it calls lost with ErrLeaseLost. A store that
// does not answer says nothing of the kind: the next beat asks again.
func (w *work) keepLease(ctx context.Context, lost func(cause error)) *lease {
	l := &w.lease
	l.work, l.lost, l.ctx, l.until = w, lost, ctx, w.asked.Add(w.cfg.Lease)
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
	// A handler that goes on after its message's context has ended, because it
	// drains, still needs the record. One renewal has the time of one heartbeat,
	// so that a lost packet does not cost the lease.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), l.work.cfg.Heartbeat)
	l.end = cancel
	l.mu.Unlock()
	defer close(ended)
	defer cancel()

	asked := time.Now()
	err := l.work.store.Extend(ctx, l.work.claim.Key, l.work.claim.Token, l.work.cfg.Lease)
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

// stop ends the beats, waits for the one under way, and returns when the lease
// ends. It may be called again.
func (l *lease) stop() time.Time {
	l.mu.Lock()
	l.stopped = true
	l.timer.Stop()
	beating := l.beating
	if beating != nil {
		l.end()
	}
	l.mu.Unlock()
	if beating != nil {
		<-beating
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}
