package sluicegatetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Point is where in a delivery a fault happens.
type Point int

// The points.
const (
	// BeforeEffect is before the handler is called.
	BeforeEffect Point = iota
	// AfterEffect is after the handler has returned without an error, and before its
	// transaction commits.
	AfterEffect
	// AfterCommit is after everything is stored, and before the ack. A fault here is the
	// loss of the ack.
	AfterCommit
)

func (p Point) String() string {
	switch p {
	case BeforeEffect:
		return "before the effect"
	case AfterEffect:
		return "after the effect"
	default:
		return "after the commit"
	}
}

// Fault is something that goes wrong at a Point.
type Fault struct {
	point  Point
	name   string
	strike func(msg *message.Message) error
}

func (f Fault) String() string { return f.name + " " + f.point.String() }

// ErrInjected is what errors.Is finds in the error of a fault that was given none.
var ErrInjected = errors.New("injected fault")

// Fail has the attempt end with err; nil is ErrInjected. Mark it as handlers do:
// retry.Permanent, retry.Unavailable, retry.RetryAfter.
func (p Point) Fail(err error) Fault {
	if err == nil {
		err = ErrInjected
	}
	return Fault{p, "failure", func(*message.Message) error { return err }}
}

// Panic has the attempt panic.
func (p Point) Panic() Fault {
	return Fault{p, "panic", func(*message.Message) error { panic(ErrInjected) }}
}

// TimeOut has the attempt hang until its context ends: by Config.Stack.Timeout, or
// AfterCommit at once, where no time runs.
func (p Point) TimeOut() Fault {
	return Fault{p, "time-out", func(msg *message.Message) error {
		if p == AfterCommit {
			return fmt.Errorf("%w: time-out", ErrInjected)
		}
		<-msg.Context().Done()
		return context.Cause(msg.Context())
	}}
}

// Crash has the process die: the goroutine of the delivery ends, its transaction is
// rolled back as by a lost connection, and the message is neither acked nor nacked. At
// an attempt of a parked message it is that attempt which ends, and the message is
// tried again after an hour, by which time a lease would have ended too.
func (p Point) Crash() Fault {
	return Fault{p, "crash", func(msg *message.Message) error {
		if d, ok := msg.Context().Value(deliveryKey{}).(*delivery); ok {
			close(d.crashed)
		}
		runtime.Goexit()
		return nil
	}}
}

// Break has every attempt of the handler meet the fault, those of parked messages too,
// until Heal. It must not be AfterCommit.
func (on *Handler) Break(f Fault) {
	on.h.tb.Helper()
	on.breakUntil(f, time.Time{})
}

// BreakFor is Break for so long.
func (on *Handler) BreakFor(d time.Duration, f Fault) {
	on.h.tb.Helper()
	on.breakUntil(f, time.Now().Add(d))
}

func (on *Handler) breakUntil(f Fault, until time.Time) {
	on.h.tb.Helper()
	if f.point == AfterCommit {
		on.h.tb.Fatalf("sluicegatetest: a handler cannot be broken %s", f.point)
	}
	on.mu.Lock()
	defer on.mu.Unlock()
	on.broken, on.until = &f, until
}

// Heal ends Break.
func (on *Handler) Heal() {
	on.mu.Lock()
	defer on.mu.Unlock()
	on.broken = nil
}

// plan adds the faults that attempts of a message are to meet.
func (on *Handler) plan(uuid string, faults []Fault) {
	on.mu.Lock()
	defer on.mu.Unlock()
	on.faults[uuid] = append(on.faults[uuid], faults...)
}

// next returns the fault of this attempt, or after the commit of this delivery.
func (on *Handler) next(uuid string, committed bool) *Fault {
	on.mu.Lock()
	defer on.mu.Unlock()
	if planned := on.faults[uuid]; len(planned) > 0 && (planned[0].point == AfterCommit) == committed {
		on.faults[uuid] = planned[1:]
		return &planned[0]
	}
	if on.broken == nil || committed || !on.until.IsZero() && !time.Now().Before(on.until) {
		return nil
	}
	return on.broken
}

// attempt calls the handler with the fault of the attempt.
func (on *Handler) attempt(msg *message.Message, call func() error) error {
	f := on.next(msg.UUID, false)
	if f != nil && f.point == BeforeEffect {
		return f.strike(msg)
	}
	if err := call(); err != nil || f == nil {
		return err
	}
	return f.strike(msg)
}

// delivery is one delivery of a message, in its context.
type delivery struct {
	on      *Handler
	crashed chan struct{} // closed where the process died
	ended   chan struct{} // closed when all layers have ended
	mu      sync.Mutex
	err     error
}

type deliveryKey struct{}

// afterCommit is the outermost layer: what follows it is the router's ack.
func afterCommit(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		d, ok := msg.Context().Value(deliveryKey{}).(*delivery)
		if !ok {
			return next(msg)
		}
		defer close(d.ended) // also where the goroutine is ended
		out, err := next(msg)
		if err == nil {
			if f := d.on.next(msg.UUID, true); f != nil {
				err = f.strike(msg)
			}
		}
		d.mu.Lock()
		d.err = err
		d.mu.Unlock()
		return out, err
	}
}

// once delivers msg once. The error says why it was not acked.
func (on *Handler) once(msg *message.Message) (Outcome, error) {
	d := &delivery{on: on, crashed: make(chan struct{}), ended: make(chan struct{})}
	m := msg.Copy()
	m.SetContext(context.WithValue(on.source.ctx, deliveryKey{}, d))
	on.source.out <- m
	select {
	case <-m.Acked():
		return Acked, nil
	case <-m.Nacked():
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			return Nacked, errors.New("a panic outside of the chain")
		}
		return Nacked, d.err
	case <-d.crashed:
		<-d.ended
		m.Nack() // so that the shutdown of the others does not wait for it
		return Crashed, ErrInjected
	}
}
