package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// PublishBatch sends msgs as one stream of record batches.
func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(broker.ErrClosed) })()

	results := make([]error, len(msgs))
	b := &outgoing{results: results, items: make([]item, 0, len(msgs))}
	m := newMarshaler(msgs, d.config.Producer.MaxMessageBytes)
	for i := range msgs {
		it, err := m.marshal(i)
		if err != nil {
			results[i] = failure.Permanent(err)
			continue
		}
		b.items = append(b.items, it)
	}
	d.deliver(ctx, b)
	for _, err := range results {
		if err != nil {
			return results
		}
	}
	return nil
}

// outgoing are the records still to be sent, and where their results belong.
type outgoing struct {
	results []error
	items   []item
}

// refuse gives err to the items that pick chooses and takes them out.
func (b *outgoing) refuse(err error, pick func(item) bool) {
	rest := b.items[:0]
	for _, it := range b.items {
		if pick(it) {
			b.results[it.index] = err
		} else {
			rest = append(rest, it)
		}
	}
	b.items = rest
}

func every(item) bool { return true }

func (d *driver) deliver(ctx context.Context, b *outgoing) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		b.refuse(d.away(ctx, errNotSent), every)
		return
	}
	d.prepareTopics(ctx, b)
	if len(b.items) == 0 {
		return
	}
	suspects := d.sendAll(ctx, b)
	// The brokers refused a record batch for what is in it, innocent records
	// among them. One by one tells which.
	for _, it := range suspects {
		one := &outgoing{results: b.results, items: []item{it}}
		if again := d.sendAll(ctx, one); again != nil {
			b.results[it.index] = failure.Permanent(fmt.Errorf("kafka refused the record: %w", b.results[it.index]))
			continue
		}
		if b.results[it.index] != nil {
			break // the rest keep their errors, and their order
		}
	}
}

// sendAll sends the items of b and writes their results. Where the brokers
// refused some for their content, it returns all that were not stored.
func (d *driver) sendAll(ctx context.Context, b *outgoing) (suspects []item) {
	p, err := d.takeProducer(ctx)
	if err != nil {
		b.refuse(d.away(ctx, err), every)
		return nil
	}
	for _, it := range b.items {
		b.results[it.index] = nil
	}
	d.giveBack(p, p.send(ctx, b.items, b.results))
	refused := false
	for _, it := range b.items {
		err := b.results[it.index]
		if err == nil {
			continue
		}
		refused = refused || contentRefused(err)
		suspects = append(suspects, it)
		b.results[it.index] = d.explain(ctx, it.topic, err)
	}
	if refused && ctx.Err() == nil {
		return suspects
	}
	return nil
}

// contentRefused: the record batch can never be stored as it is.
func contentRefused(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrInvalidMessage) ||
		errors.Is(err, sarama.ErrInvalidRecord) || errors.Is(err, sarama.ErrInvalidTimestamp)
}

// explain turns sarama's error into one that says whether another attempt can
// help: what a person must set right keeps no mark, all else is the broker's
// absence.
func (d *driver) explain(ctx context.Context, topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case contentRefused(err):
		return err
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("kafka does not let this user write: %w", err)
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		d.forgetTopic(topic)
	}
	return d.away(ctx, err)
}

func (d *driver) takeProducer(ctx context.Context) (*producer, error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		p := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		return p, nil
	}
	d.mu.Unlock()
	return d.newProducer(ctx)
}

func (d *driver) giveBack(p *producer, whole bool) {
	d.mu.Lock()
	keep := whole && d.ctx.Err() == nil
	if keep {
		d.idle = append(d.idle, p)
	}
	d.mu.Unlock()
	if !keep {
		d.retire(p, 0)
	}
}

// prepareTopics makes sure that the topics exist, and refuses the messages of
// those that do not.
func (d *driver) prepareTopics(ctx context.Context, b *outgoing) {
	var unknown []string
	d.mu.Lock()
	last := ""
	for _, it := range b.items {
		if it.topic == last {
			continue
		}
		last = it.topic
		if _, known := d.known[it.topic]; !known && !slices.Contains(unknown, it.topic) {
			unknown = append(unknown, it.topic)
		}
	}
	d.mu.Unlock()
	for _, topic := range unknown {
		if err := d.ensureTopic(ctx, topic); err != nil {
			b.refuse(err, func(it item) bool { return it.topic == topic })
		}
	}
}
