package sluicegatetest

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

// Handler is a handler on the harness.
type Handler struct {
	h           *Harness
	name, topic string
	install     func(*sluicegate.Stack, *message.Router, message.Subscriber) error
	source      *source

	mu     sync.Mutex
	faults map[string][]Fault // by UUID, one an attempt
	broken *Fault
	until  time.Time // of broken; zero: until Heal
}

// Handle installs fn as Stack.Handle does. All handlers come before the first delivery.
func (h *Harness) Handle(name, topic string, fn sluicegate.TxHandler) *Handler {
	h.tb.Helper()
	return h.add(name, topic, func(on *Handler, s *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return s.Handle(r, name, topic, sub, func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			return on.attempt(msg, func() error { return fn(ctx, tx, msg) })
		})
	})
}

// HandleProducing installs fn as Stack.HandleProducing does.
func (h *Harness) HandleProducing(name, topic, output string, fn sluicegate.TxProducer) *Handler {
	h.tb.Helper()
	return h.add(name, topic, func(on *Handler, s *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return s.HandleProducing(r, name, topic, sub, output,
			func(ctx context.Context, tx *sql.Tx, msg *message.Message) (out []*message.Message, err error) {
				err = on.attempt(msg, func() (err error) { out, err = fn(ctx, tx, msg); return err })
				return out, err
			})
	})
}

// HandleMessage installs fn, a plain Watermill handler, as Stack.HandleMessage does.
// output may be empty.
func (h *Harness) HandleMessage(name, topic, output string, fn message.HandlerFunc) *Handler {
	h.tb.Helper()
	return h.add(name, topic, func(on *Handler, s *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return s.HandleMessage(r, name, topic, sub, output, func(msg *message.Message) (out []*message.Message, err error) {
			err = on.attempt(msg, func() (err error) { out, err = fn(msg); return err })
			return out, err
		})
	})
}

func (h *Harness) add(name, topic string, install func(*Handler, *sluicegate.Stack, *message.Router, message.Subscriber) error) *Handler {
	h.tb.Helper()
	if h.stop != nil {
		h.tb.Fatalf("sluicegatetest: handler %q comes after the first delivery", name)
	}
	on := &Handler{h: h, name: name, topic: topic, faults: map[string][]Fault{}}
	on.install = func(s *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return install(on, s, r, sub)
	}
	h.handlers = append(h.handlers, on)
	return on
}

// Outcome is what became of one delivery.
type Outcome string

// The outcomes.
const (
	Acked   Outcome = "acked"   // handled, or stored: parked, or as a dead letter
	Nacked  Outcome = "nacked"  // given back to the broker
	Crashed Outcome = "crashed" // neither: the process died
)

// maxDeliveries bounds how often a broker delivers a message that nobody acks.
const maxDeliveries = 100

// Deliver delivers msg as a broker does: again, after a second, and growing to a minute,
// of virtual time, until it is acked. The faults happen in turn, one an attempt of
// the handler or, AfterCommit, one a delivery. It returns what became of each delivery,
// the last of which is Acked: a message that is never acked ends the test.
func (on *Handler) Deliver(msg *message.Message, faults ...Fault) []Outcome {
	on.h.tb.Helper()
	on.h.start()
	on.plan(msg.UUID, faults)
	outcomes, err := on.deliver(msg)
	if err != nil {
		on.h.tb.Fatalf("sluicegatetest: %v", err)
	}
	return outcomes
}

// DeliverOnce delivers msg once, whatever becomes of it.
func (on *Handler) DeliverOnce(msg *message.Message, faults ...Fault) Outcome {
	on.h.tb.Helper()
	on.h.start()
	on.plan(msg.UUID, faults)
	o, _ := on.once(msg)
	return o
}

// Duplicate delivers msg n times, one after the other, each until it is acked.
func (on *Handler) Duplicate(n int, msg *message.Message, faults ...Fault) {
	on.h.tb.Helper()
	on.plan(msg.UUID, faults)
	for range n {
		on.Deliver(msg)
	}
}

// Together delivers all msgs n times each, at the same time, each until it is acked.
func (on *Handler) Together(n int, msgs ...*message.Message) {
	on.h.tb.Helper()
	on.h.start()
	var wg sync.WaitGroup
	errs := make(chan error, n*len(msgs))
	for range n {
		for _, msg := range msgs {
			wg.Go(func() {
				if _, err := on.deliver(msg); err != nil {
					errs <- err
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		on.h.tb.Fatalf("sluicegatetest: %v", err)
	}
}

func (on *Handler) deliver(msg *message.Message) (outcomes []Outcome, err error) {
	pause := time.Second
	for range maxDeliveries {
		o, reason := on.once(msg)
		if outcomes = append(outcomes, o); o == Acked {
			return outcomes, nil
		}
		err = reason
		<-time.After(pause)
		pause = min(2*pause, time.Minute)
	}
	return outcomes, fmt.Errorf("handler %q: message %q was delivered %d times and never acked; the last time: %w", on.name, msg.UUID, maxDeliveries, err)
}
