package topology

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
)

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// Subscriber subscribes a consumer group to topics of one broker.
type Subscriber struct {
	topology *Topology
	broker   *broker.Broker
	name     string
	group    message.Subscriber
}

// Subscriber returns a subscriber of group on the broker of topic; an empty group
// is that of the broker's options or URL. Each call returns another subscriber;
// those of one group share the messages.
func (t *Topology) Subscriber(topic, group string) (*Subscriber, error) {
	name, err := t.config.route(topic)
	if err != nil {
		return nil, fmt.Errorf("subscriber of %q: %w", topic, err)
	}
	if group == "" {
		group = t.groups[name]
	}
	if group == "" {
		return nil, fmt.Errorf("subscriber of %q: no consumer group: name one, or set options.consumer_group of broker %s", topic, name)
	}
	b := t.brokers[name]
	return &Subscriber{topology: t, broker: b, name: name, group: b.Group(group)}, nil
}

// Subscribe delivers the messages of topic, as broker.Group's does. A topic that
// is on another broker is refused: nothing would ever arrive.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.check(topic); err != nil {
		return nil, err
	}
	return s.group.Subscribe(ctx, topic)
}

// SubscribeInitialize makes the topic and the group exist, as broker.Group's does.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if err := s.check(topic); err != nil {
		return err
	}
	if initializer, ok := s.group.(message.SubscribeInitializer); ok {
		return initializer.SubscribeInitialize(topic)
	}
	return nil
}

func (s *Subscriber) check(topic string) error {
	switch name, err := s.topology.config.route(topic); {
	case err != nil:
		return fmt.Errorf("subscribe to %q: %w", topic, err)
	case name != s.name:
		return fmt.Errorf("subscribe to %q: it is on broker %s, and this subscriber on %s: ask for one of its own", topic, name, s.name)
	}
	return nil
}

// Capabilities says what the broker can do.
func (s *Subscriber) Capabilities() broker.Capabilities { return s.broker.Capabilities() }

// Close ends the subscriptions of this subscriber, and not the broker.
func (s *Subscriber) Close() error { return s.group.Close() }
