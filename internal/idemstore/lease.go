package idemstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Lease is a claim that a timer renews: who is done before the first beat costs no
// goroutine. The fields are set before Keep.
type Lease struct {
	Store Store
	Key   Key
	Token string
	Term  time.Duration // of the lease
	Beat  time.Duration // between two renewals, which is also the time that one of them has
	// Lost is called once, with ErrLeaseLost, where the store says that the record
	// is another's. A store that does not answer says nothing of the kind: the next
	// beat asks again.
	Lost func(cause error)

	ctx context.Context    //nolint:containedctx // of the beats
	end context.CancelFunc // of the beat under way, which ends with Stop

	mu      sync.Mutex
	until   time.Time // by our clock, counted from before the store was asked
	timer   *time.Timer
	stopped bool
	beating chan struct{} // closed when the beat under way ends; nil between beats
}

// Keep renews the claim, which was asked for at the given time, until Stop.
func (l *Lease) Keep(ctx context.Context, asked time.Time) {
	l.ctx, l.until = ctx, asked.Add(l.Term)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.Beat, l.beat)
}

func (l *Lease) beat() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	ended := make(chan struct{})
	l.beating = ended
	// Who goes on after the context has ended, because it drains, still needs the
	// record. One renewal has the time of one heartbeat, so that a lost packet does
	// not cost the lease.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), l.Beat)
	l.end = cancel
	l.mu.Unlock()
	defer close(ended)
	defer cancel()

	asked := time.Now()
	err := l.Store.Extend(ctx, l.Key, l.Token, l.Term)
	if errors.Is(err, ErrLeaseLost) {
		l.Lost(ErrLeaseLost)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.until = asked.Add(l.Term)
	}
	if l.beating = nil; !l.stopped {
		l.timer.Reset(l.Beat)
	}
}

// Stop ends the beats, waits for the one under way, and returns when the lease
// ends. It may be called again.
func (l *Lease) Stop() time.Time {
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
