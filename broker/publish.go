package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// Publish publishes msgs to topic as one batch and returns after the broker
// has acknowledged all of them, within Config.PublishTimeout. Where some were
// not acknowledged the error says how many; it is marked permanent only if no
// other kind of failure was among them. Without msgs it does nothing.
func (b *Broker) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.config.PublishTimeout)
	defer cancel()
	outgoing := make([]Outgoing, len(msgs))
	for i, msg := range msgs {
		outgoing[i] = Outgoing{Topic: topic, Message: msg}
	}
	failed, first := 0, error(nil)
	for _, err := range b.PublishBatch(ctx, outgoing) {
		if err == nil {
			continue
		}
		failed++
		if first == nil || failure.IsPermanent(first) && !failure.IsPermanent(err) {
			first = err
		}
	}
	switch {
	case failed == 0:
		return nil
	case len(msgs) == 1:
		return fmt.Errorf("publish to %q: %w", topic, first)
	}
	return fmt.Errorf("publish to %q: %d of %d messages not acknowledged: %w", topic, failed, len(msgs), first)
}

var (
	errNoMessage = failure.Permanent(errors.New("message is nil"))
	errNoTopic   = failure.Permanent(errors.New("topic is empty"))
)

// PublishBatch publishes msgs, in their order for each topic and key, and
// returns after each of them was acknowledged or refused, or ctx has ended.
// Nil means that all were acknowledged; otherwise the result has one element
// a message, nil where it was acknowledged.
func (b *Broker) PublishBatch(ctx context.Context, msgs []Outgoing) []error {
	if len(msgs) == 0 {
		return nil
	}
	if b.all.isClosed() {
		return fill(len(msgs), failure.Unavailable(ErrClosed))
	}
	valid, index := msgs, []int(nil)
	var results []error
	for i, m := range msgs {
		err := error(nil)
		switch {
		case m.Message == nil:
			err = errNoMessage
		case m.Topic == "":
			err = errNoTopic
		}
		if err != nil && results == nil {
			results = make([]error, len(msgs))
			valid = append([]Outgoing(nil), msgs[:i]...)
			for j := range i {
				index = append(index, j)
			}
		}
		if results == nil {
			continue
		}
		if results[i] = err; err == nil {
			valid, index = append(valid, m), append(index, i)
		}
	}
	if results == nil {
		return b.driver.PublishBatch(ctx, msgs)
	}
	if len(valid) == 0 {
		return results
	}
	for j, err := range b.driver.PublishBatch(ctx, valid) {
		results[index[j]] = err
	}
	return results
}

func fill(n int, err error) []error {
	results := make([]error, n)
	for i := range results {
		results[i] = err
	}
	return results
}
