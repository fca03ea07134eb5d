package sluicegate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errDraining is what a message is given back with that arrives while the
// stack drains: the broker delivers it again, to this process after a restart
// or to another one.
var errDraining = errors.New("the stack is draining")

// gate is the outermost layer. It counts the handlers at work, keeps new
// messages out once draining has begun, and gives handlers a context that
// outlives the message's own by the grace that the drain has: Watermill's
// router cancels message contexts the moment it is closed, which would turn
// every deployment into failed attempts.
type gate struct {
	mu       sync.Mutex
	grace    time.Duration
	inFlight int
	draining bool
	idle     chan struct{} // closed when draining and nothing is in flight
}

func newGate(grace time.Duration) *gate {
	return &gate{grace: grace, idle: make(chan struct{})}
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return false
	}
	g.inFlight++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	g.signal()
}

// signal closes idle once; the caller holds the lock.
func (g *gate) signal() {
	if g.draining && g.inFlight == 0 {
		select {
		case <-g.idle:
		default:
			close(g.idle)
		}
	}
}

// drain keeps new messages out and waits until the handlers at work have
// ended or ctx has. It reports whether all have ended.
func (g *gate) drain(ctx context.Context) bool {
	g.mu.Lock()
	if !g.draining {
		g.draining = true
		g.signal()
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return true
	case <-ctx.Done():
		return false
	}
}

// hurry ends the grace: from now on a handler's context ends with its message's.
func (g *gate) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.grace = 0
}

func (g *gate) graceNow() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.grace
}

// middleware is the gate as a layer of the chain.
func (g *gate) middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		own := msg.Context()
		if !g.enter() {
			// Given back only when the subscriber lets go of it: an earlier
			// nack would have it delivered again at once, in a loop.
			<-own.Done()
			return nil, errDraining
		}
		defer g.leave()
		ctx, cancel := g.outlive(own)
		defer cancel()
		msg.SetContext(ctx)
		defer msg.SetContext(own)
		return next(msg)
	}
}

// outlive returns a context with the values of ctx that is cancelled the
// grace after ctx is.
func (g *gate) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var (
		mu    sync.Mutex
		timer *time.Timer
		over  bool
	)
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			timer = time.AfterFunc(g.graceNow(), func() { cancel(context.Cause(ctx)) })
		}
	})
	return out, func() {
		stop()
		mu.Lock()
		over = true
		if timer != nil {
			timer.Stop()
		}
		mu.Unlock()
		cancel(context.Canceled)
	}
}
