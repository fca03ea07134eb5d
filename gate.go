package sluicegate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
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
	// returned holds messages whose handling has ended and which the router may
	// not have acked or nacked yet: it does so after the chain has returned, and
	// a subscriber that is closed before it would never hear of it.
	returned []*message.Message
	pruneAt  int
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

// keepReturned is how many returned messages are kept before the settled ones
// among them are let go of.
const keepReturned = 64

func (g *gate) leave(msg *message.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if len(g.returned) >= max(keepReturned, g.pruneAt) {
		g.returned = slices.DeleteFunc(g.returned, settled)
		g.pruneAt = 2 * len(g.returned) // so that a message is looked at twice, and not once for each that follows
	}
	g.returned = append(g.returned, msg)
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

func settled(msg *message.Message) bool {
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
	default:
		return false
	}
	return true
}

// drain keeps new messages out and waits until the handlers at work have ended
// and their messages are acked or nacked, or ctx has ended. It reports whether
// all have.
func (g *gate) drain(ctx context.Context) bool {
	g.mu.Lock()
	if !g.draining {
		g.draining = true
		g.signal()
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return g.settle(ctx)
	case <-ctx.Done():
		return false
	}
}

// settle waits until what has returned is acked or nacked.
func (g *gate) settle(ctx context.Context) bool {
	g.mu.Lock()
	returned := g.returned
	g.mu.Unlock()
	for _, msg := range returned {
		select {
		case <-msg.Acked():
		case <-msg.Nacked():
		case <-ctx.Done():
			return false
		}
	}
	return true
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
		defer g.leave(msg)
		deepen()
		ctx := delivery.Detached(own, outlive, g)
		defer ctx.Cancel(context.Canceled)
		msg.SetContext(ctx)
		defer msg.SetContext(own)
		return next(msg)
	}
}

// outlive opens a context with the values of its parent that is cancelled the
// gate's grace after that is.
func outlive(c *delivery.Context) (context.Context, context.CancelCauseFunc) {
	g, _ := c.Arg().(*gate)
	out, cancel := context.WithCancelCause(context.WithoutCancel(c.Parent()))
	var (
		mu    sync.Mutex
		timer *time.Timer
		over  bool
	)
	stop := context.AfterFunc(c.Parent(), func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			timer = time.AfterFunc(g.graceNow(), func() { cancel(context.Cause(c.Parent())) })
		}
	})
	return out, func(cause error) {
		stop()
		mu.Lock()
		over = true
		if timer != nil {
			timer.Stop()
		}
		mu.Unlock()
		cancel(cause)
	}
}

// deepen has the goroutine's stack grow once, here, where there is little on it,
// in place of step by step further in, where each step copies all the layers:
// Watermill's router starts a goroutine for each message.
//
//go:noinline
func deepen() {
	var room [stackRoom]byte
	touch(&room)
}

// stackRoom is about what the layers of a chain and a small handler need.
const stackRoom = 5 << 10

//go:noinline
func touch(room *[stackRoom]byte) { room[0]++ }
