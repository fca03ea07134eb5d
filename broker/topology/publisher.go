package topology

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var (
	_ message.Publisher = (*Publisher)(nil)
	_ batch.Publisher   = (*Publisher)(nil)
	_ batch.Checker     = (*Publisher)(nil)
)

// Publisher publishes each message to the broker of its topic. It is safe for
// use by many goroutines.
type Publisher struct{ topology *Topology }

// Publisher returns a publisher for all topics: a Watermill Publisher, and what
// the relay publishes batches by.
func (t *Topology) Publisher() *Publisher { return &Publisher{t} }

// Publish publishes msgs to topic as broker.Broker.Publish does. A topic without a
// broker is a permanent failure.
func (p *Publisher) Publish(topic string, msgs ...*message.Message) error {
	b, err := p.topology.For(topic)
	if err != nil {
		return fmt.Errorf("publish to %q: %w", topic, failure.Permanent(err))
	}
	return b.Publish(topic, msgs...)
}

// PublishBatch splits msgs by broker, publishes the parts at once, and returns
// when the last is done: in their order for each topic and key, with a result
// for each message or nil where all were acknowledged, as broker.Broker's does.
// One broker that is away fails its own part alone. A message whose topic has
// no broker fails permanently.
func (p *Publisher) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	if len(p.topology.brokers) == 1 {
		for _, b := range p.topology.brokers {
			return b.PublishBatch(ctx, msgs)
		}
	}
	results := make([]error, len(msgs))
	parts := p.split(msgs, results)
	var all sync.WaitGroup
	for b, part := range parts {
		all.Go(func() {
			for i, err := range b.PublishBatch(ctx, part.msgs) {
				results[part.index[i]] = err // each part has indexes of its own
			}
		})
	}
	all.Wait()
	for _, err := range results {
		if err != nil {
			return results
		}
	}
	return nil
}

// part are the messages of a batch that go to one broker.
type part struct {
	msgs  []broker.Outgoing
	index []int // of each in the batch
}

// split sorts msgs by broker, and notes in results those that have none.
func (p *Publisher) split(msgs []broker.Outgoing, results []error) map[*broker.Broker]*part {
	parts := map[*broker.Broker]*part{}
	routes := map[string]*broker.Broker{}
	for i, m := range msgs {
		b, known := routes[m.Topic]
		if !known {
			var err error
			if b, err = p.topology.For(m.Topic); err != nil {
				results[i] = failure.Permanent(err)
				continue
			}
			routes[m.Topic] = b
		}
		if parts[b] == nil {
			parts[b] = &part{}
		}
		parts[b].msgs, parts[b].index = append(parts[b].msgs, m), append(parts[b].index, i)
	}
	return parts
}

// Check reports which brokers cannot be reached right now.
func (p *Publisher) Check(ctx context.Context) error { return p.topology.Check(ctx) }

// Close does nothing: Topology.Close closes the brokers. Watermill's router
// closes the publishers of its handlers, and others publish here too.
func (p *Publisher) Close() error { return nil }
