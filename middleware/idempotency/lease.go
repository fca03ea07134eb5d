package idempotency

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lease is a claim that a goroutine renews.
type lease struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed by the goroutine

	mu    sync.Mutex
	until time.Time // by our clock, counted from before the store was asked
}

// keepLease renews the claim every Heartbeat until stop. Once the store says
// that the record is another's, it calls lost with ErrLeaseLost. A store that
// does not answer says nothing of the kind: the next beat asks again.
func (w *work) keepLease(ctx context.Context, lost context.CancelCauseFunc) *lease {
	// A handler that goes on after its message's context has ended, because it
	// drains, still needs the record.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{cancel: cancel, ended: make(chan struct{}), until: w.asked.Add(w.cfg.Lease)}
	go func() {
		defer close(l.ended)
		beat := time.NewTicker(w.cfg.Heartbeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
			}
			asked := time.Now()
			err := w.extend(ctx)
			if errors.Is(err, ErrLeaseLost) {
				lost(ErrLeaseLost)
				return
			}
			if err == nil {
				l.mu.Lock()
				l.until = asked.Add(w.cfg.Lease)
				l.mu.Unlock()
			}
		}
	}()
	return l
}

// extend gives one renewal the time of one heartbeat, so that a lost packet
// does not cost the lease.
func (w *work) extend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Heartbeat)
	defer cancel()
	return w.store.Extend(ctx, w.claim.Key, w.claim.Token, w.cfg.Lease)
}

// stop ends the goroutine, waits for it, and returns when the lease ends. It
// may be called again.
func (l *lease) stop() time.Time {
	l.cancel()
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}
