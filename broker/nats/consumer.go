package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
)

// pinGroup is the one priority group of our consumers.
const pinGroup = "sluicegate"

// consumerRef is what a subscription needs to know of its consumer.
type consumerRef struct {
	stream, name string
	ackWait      time.Duration
	prefetch     int
	pinned       bool
}

// ensureConsumer returns the durable consumer of group for topic, having
// created it where it is missing and that is allowed.
func (d *driver) ensureConsumer(ctx context.Context, js jetstream.JetStream, stream *streamRef, topic, group string) (*consumerRef, error) {
	ctx, cancel := context.WithTimeout(ctx, d.publishTimeout)
	defer cancel()
	name := consumerName(group, topic)
	config, err := d.findOrCreateConsumer(ctx, js, stream.name, d.consumerConfig(name, topic))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		d.forget(topic)
	}
	if err != nil {
		return nil, d.explain(ctx, fmt.Sprintf("find the consumer of group %q for topic %q", group, topic), err)
	}
	if err := d.checkConsumer(config, topic); err != nil {
		return nil, fmt.Errorf("%w: topic %q: consumer %s of stream %s %w", errUnusable, topic, name, stream.name, err)
	}
	return &consumerRef{
		stream: stream.name, name: name, ackWait: config.AckWait,
		prefetch: config.MaxAckPending, pinned: d.order == broker.OrderByKey,
	}, nil
}

func (d *driver) consumerConfig(name, topic string) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       name,
		Description:   "created by sluicegate",
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       d.ackWait,
		MaxDeliver:    -1,
		FilterSubject: topic,
		MaxAckPending: d.prefetch,
	}
	if d.order == broker.OrderByKey {
		c.PriorityPolicy = jetstream.PriorityPolicyPinned
		c.PriorityGroups = []string{pinGroup}
		c.PinnedTTL = d.ackWait
	}
	return c
}

// findOrCreateConsumer brings what may change of one that exists up to date,
// where this driver may create consumers at all.
func (d *driver) findOrCreateConsumer(ctx context.Context, js jetstream.JetStream, stream string, wanted jetstream.ConsumerConfig) (*jetstream.ConsumerConfig, error) {
	consumer, err := js.Consumer(ctx, stream, wanted.Durable)
	switch {
	case err == nil:
		config := consumer.CachedInfo().Config
		current := config.AckWait == wanted.AckWait && config.MaxAckPending == wanted.MaxAckPending && config.PinnedTTL == wanted.PinnedTTL
		ours := d.checkConsumer(&config, wanted.FilterSubject) == nil // or it is refused by the caller
		if !d.create || current || !ours {
			return &config, nil
		}
		config.AckWait, config.MaxAckPending, config.PinnedTTL = wanted.AckWait, wanted.MaxAckPending, wanted.PinnedTTL
		if consumer, err = js.UpdateConsumer(ctx, stream, config); err != nil {
			return nil, refused("update consumer "+wanted.Durable, err)
		}
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, err
	case !d.create:
		return nil, fmt.Errorf("%w: stream %s has no consumer %s, and create is false", errUnusable, stream, wanted.Durable)
	default:
		if consumer, err = js.CreateConsumer(ctx, stream, wanted); err != nil {
			return nil, refused("create consumer "+wanted.Durable, err)
		}
		d.logger.Info("created consumer", "stream", stream, "consumer", wanted.Durable, "topic", wanted.FilterSubject)
	}
	return &consumer.CachedInfo().Config, nil
}

// checkConsumer says what about a consumer would break a promise.
func (d *driver) checkConsumer(c *jetstream.ConsumerConfig, topic string) error {
	pinned := c.PriorityPolicy == jetstream.PriorityPolicyPinned && len(c.PriorityGroups) == 1 && c.PriorityGroups[0] == pinGroup
	switch {
	case c.DeliverSubject != "":
		return errors.New("pushes; it must be a pull consumer")
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		return errors.New("must have ack policy explicit")
	case c.MaxDeliver > 0:
		return fmt.Errorf("gives up a message after %d deliveries, which loses it: max_deliver must be -1", c.MaxDeliver)
	case c.FilterSubject != topic:
		return fmt.Errorf("is for %q, not for this topic alone", c.FilterSubject)
	case c.HeadersOnly:
		return errors.New("delivers headers only")
	case d.order == broker.OrderByKey && !pinned:
		return fmt.Errorf("does not serve one member at a time, which order=key needs: it must have priority policy pinned_client and "+
			"the group %s (nats-server 2.11 or later); otherwise say order=none", pinGroup)
	case d.order == broker.OrderNone && c.PriorityPolicy != jetstream.PriorityPolicyNone:
		return errors.New("has a priority policy, while order=none shares it among all members: delete it, or say order=key")
	case c.MaxAckPending < 1:
		return errors.New("has no limit of unacked messages: max_ack_pending must be set")
	}
	return nil
}
