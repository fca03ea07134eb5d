package fault

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
)

// Deliveries counts what subscribers deliver, and loses acks on the way back,
// as a process does that dies after the effect and before the ack: the broker
// delivers the message again. It is safe for concurrent use.
type Deliveries struct {
	plan Plan

	mu          sync.Mutex
	seen        map[delivered]bool
	owed        map[delivered]bool // lost an ack, and will come again
	struck      map[hit]bool
	redelivered int
}

type delivered struct{ service, uuid string }

// NewDeliveries returns a count that begins at zero.
func NewDeliveries(plan Plan) *Deliveries {
	return &Deliveries{plan: plan, seen: map[delivered]bool{}, owed: map[delivered]bool{}, struck: map[hit]bool{}}
}

// Redelivered is how many deliveries were not the first of their message to
// their service.
func (d *Deliveries) Redelivered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.redelivered
}

// Owed is how many messages have lost their ack and were not yet delivered again.
func (d *Deliveries) Owed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.owed)
}

// Subscriber returns the broken way of a service to sub.
func (d *Deliveries) Subscriber(service string, sub message.Subscriber, caps broker.Capabilities) message.Subscriber {
	return &subscriber{deliveries: d, service: service, sub: sub, caps: caps}
}

func (d *Deliveries) note(service string, m *message.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := delivered{service, m.UUID}
	if d.seen[at] {
		d.redelivered++
	}
	d.seen[at] = true
	delete(d.owed, at)
}

// losesAck reports whether the ack of m is lost: once for each order.
func (d *Deliveries) losesAck(service string, m *message.Message) bool {
	at := hit{service, skuOf(m)}
	if !d.plan.has(LoseAck, service, at.sku) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.struck[at] {
		return false
	}
	d.struck[at], d.owed[delivered{service, m.UUID}] = true, true
	return true
}

type subscriber struct {
	deliveries *Deliveries
	service    string
	sub        message.Subscriber
	caps       broker.Capabilities
}

// Capabilities are those of the broker.
func (s *subscriber) Capabilities() broker.Capabilities { return s.caps }

func (s *subscriber) Close() error { return s.sub.Close() }

// Subscribe delivers copies, whose acks pass through here.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := s.sub.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		var passing sync.WaitGroup
		defer passing.Wait()
		for original := range in {
			s.deliveries.note(s.service, original)
			m := original.CopyWithContext()
			select {
			case out <- m:
				passing.Go(func() { s.pass(original, m) })
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}

// pass takes the answer about the copy back to the original.
func (s *subscriber) pass(original, m *message.Message) {
	select {
	case <-m.Acked():
		if s.deliveries.losesAck(s.service, original) {
			original.Nack()
			return
		}
		original.Ack()
	case <-m.Nacked():
		original.Nack()
	case <-original.Context().Done(): // an answer would mark nothing any more
	}
}
