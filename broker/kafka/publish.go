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
	b := &outgoing{results: results}
	for i, m := range msgs {
		record, err := marshal(m.Topic, m.Message, d.config.Producer.MaxMessageBytes)
		if err != nil {
			results[i] = failure.Permanent(err)
			continue
		}
		b.add(i, record)
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
	records []*sarama.ProducerMessage
	index   []int
}

func (b *outgoing) add(i int, record *sarama.ProducerMessage) {
	b.records, b.index = append(b.records, record), append(b.index, i)
}

// refuse gives err to the records that pick chooses and takes them out.
func (b *outgoing) refuse(err error, pick func(*sarama.ProducerMessage) bool) {
	rest := &outgoing{results: b.results}
	for j, record := range b.records {
		if pick(record) {
			b.results[b.index[j]] = err
		} else {
			rest.add(b.index[j], record)
		}
	}
	*b = *rest
}

func every(*sarama.ProducerMessage) bool { return true }

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
	if len(b.records) == 0 {
		return
	}
	suspects := d.sendAll(ctx, b)
	if suspects == nil {
		return
	}
	// The brokers refused a record batch for what is in it, innocent records
	// among them. One by one tells which.
	for j, record := range suspects.records {
		one := &outgoing{results: b.results}
		one.add(suspects.index[j], record)
		if again := d.sendAll(ctx, one); again != nil {
			b.results[suspects.index[j]] = failure.Permanent(fmt.Errorf("kafka refused the record: %w", b.results[suspects.index[j]]))
			continue
		}
		if b.results[suspects.index[j]] != nil {
			break // the rest keep their errors, and their order
		}
	}
}

// sendAll sends the records of b and writes their results. Where the brokers
// refused some for their content, it returns all that were not stored.
func (d *driver) sendAll(ctx context.Context, b *outgoing) (suspects *outgoing) {
	p, err := d.takeProducer(ctx)
	if err != nil {
		b.refuse(d.away(ctx, err), every)
		return nil
	}
	errs, whole := p.send(ctx, b.records)
	d.giveBack(p, whole)
	refused := false
	unsent := &outgoing{results: b.results}
	for j, err := range errs {
		i := b.index[j]
		if b.results[i] = d.explain(ctx, b.records[j].Topic, err); err != nil {
			refused = refused || contentRefused(err)
			unsent.add(i, b.records[j])
		}
	}
	if refused && ctx.Err() == nil {
		return unsent
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
	for _, record := range b.records {
		if _, known := d.known[record.Topic]; !known && !slices.Contains(unknown, record.Topic) {
			unknown = append(unknown, record.Topic)
		}
	}
	d.mu.Unlock()
	for _, topic := range unknown {
		if err := d.ensureTopic(ctx, topic); err != nil {
			b.refuse(err, func(record *sarama.ProducerMessage) bool { return record.Topic == topic })
		}
	}
}
