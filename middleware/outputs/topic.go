package outputs

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// ErrNoTopic says that nothing names the topic of a produced message.
var ErrNoTopic = errors.New("produced message has no topic: set Config.Topic or TopicFor, use To, or add the handler with a publish topic")

// To names the topic of one produced message, over the configured one, and
// returns msg. The mark is metadata; it is taken off before publishing.
func To(msg *message.Message, topic string) *message.Message {
	if msg.Metadata == nil {
		msg.Metadata = message.Metadata{}
	}
	msg.Metadata.Set(header.Topic, topic)
	return msg
}

// topics finds the topic of each message.
type topics struct {
	fixed string
	by    func(*message.Message) string
}

// of falls back to the topic that the consumed message's handler was added to
// Watermill's router with.
func (t topics) of(consumed, msg *message.Message) string {
	if topic := msg.Metadata.Get(header.Topic); topic != "" {
		return topic
	}
	if t.by != nil {
		if topic := t.by(msg); topic != "" {
			return topic
		}
	}
	if t.fixed != "" {
		return t.fixed
	}
	return message.PublishTopicFromCtx(consumed.Context())
}

// prepare returns copies of what was produced, ready to publish: the messages
// may be the consumed one itself, or belong to a stored record.
func (t topics) prepare(consumed *message.Message, d *delivery.Delivery, produced []*message.Message) ([]batch.Outgoing, error) {
	out := make([]batch.Outgoing, 0, len(produced))
	for i, m := range produced {
		if m == nil {
			return nil, failure.Permanent(fmt.Errorf("produced message %d of %d is nil", i+1, len(produced)))
		}
		topic := t.of(consumed, m)
		if topic == "" {
			return nil, failure.Permanent(fmt.Errorf("message %d of %d: %w", i+1, len(produced), ErrNoTopic))
		}
		c := m.Copy()
		delete(c.Metadata, header.Topic)
		c.SetContext(consumed.Context())
		d.Outgoing(c)
		out = append(out, batch.Outgoing{Topic: topic, Message: c})
	}
	return out, nil
}

// run is how many of the first messages go to one topic.
func run(out []batch.Outgoing) int {
	n := 1
	for n < len(out) && out[n].Topic == out[0].Topic {
		n++
	}
	return n
}

func messages(out []batch.Outgoing) []*message.Message {
	msgs := make([]*message.Message, len(out))
	for i, o := range out {
		msgs[i] = o.Message
	}
	return msgs
}
