package brokertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

func unique(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:12]) }

// rig is what one case works with.
type rig struct {
	t     T
	h     Harness
	url   string
	topic string
	b     *broker.Broker
}

func newRig(t T, h Harness) *rig {
	h = h.withDefaults()
	r := &rig{t: t, h: h, url: h.URL(t), topic: unique("topic")}
	r.b = r.open()
	return r
}

func (r *rig) open() *broker.Broker {
	r.t.Helper()
	b, err := broker.Open(r.t.Context(), r.url, broker.Config{PublishTimeout: r.h.Patience})
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			r.t.Errorf("close: %v", err)
		}
	})
	return b
}

// initialize makes the group exist without anyone subscribing.
func (r *rig) initialize(group string) {
	r.t.Helper()
	r.h.Used(r.topic, group)
	g, can := r.b.Group(group).(message.SubscribeInitializer)
	if !can {
		r.t.Fatalf("a group cannot be initialized")
	}
	if err := g.SubscribeInitialize(r.topic); err != nil {
		r.t.Fatalf("initialize: %v", err)
	}
}

func (r *rig) subscribe(group string) *consumer { return r.subscribeOn(r.b, group, r.topic) }

func (r *rig) subscribeOn(b *broker.Broker, group, topic string) *consumer {
	r.t.Helper()
	r.h.Used(topic, group)
	g := b.Group(group)
	ch, err := g.Subscribe(r.t.Context(), topic)
	if err != nil {
		r.t.Fatalf("subscribe: %v", err)
	}
	return &consumer{rig: r, group: g, ch: ch}
}

// publish publishes in the background, since a broker that waits for its
// consumers cannot be waited for first.
func (r *rig) publish(msgs ...*message.Message) <-chan error {
	done := make(chan error, 1)
	go func() { done <- r.b.Publish(r.topic, msgs...) }()
	return done
}

func (r *rig) batch(msgs ...*message.Message) []broker.Outgoing {
	out := make([]broker.Outgoing, len(msgs))
	for i, m := range msgs {
		out[i] = broker.Outgoing{Topic: r.topic, Message: m}
	}
	return out
}

// published waits for publish to succeed.
func (r *rig) published(done <-chan error) {
	r.t.Helper()
	if err := within(r, done, "Publish to return"); err != nil {
		r.t.Fatalf("publish: %v", err)
	}
}

// within waits for a value.
func within[V any](r *rig, ch <-chan V, what string) V {
	r.t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(r.h.Patience):
		r.t.Fatalf("waited %s in vain for %s", r.h.Patience, what)
		panic("unreachable")
	}
}

// consumer is one subscription.
type consumer struct {
	*rig
	group message.Subscriber
	ch    <-chan *message.Message
}

func (c *consumer) next() *message.Message {
	c.t.Helper()
	msg := within(c.rig, c.ch, "a message")
	if msg == nil {
		c.t.Fatalf("the subscription ended")
	}
	return msg
}

// acked takes n messages, acks them and returns them.
func (c *consumer) acked(n int) []*message.Message {
	c.t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = c.next()
		msgs[i].Ack()
	}
	return msgs
}

// nothing checks that no message comes for a while.
func (c *consumer) nothing(why string) {
	c.t.Helper()
	select {
	case msg, open := <-c.ch:
		if open {
			c.t.Fatalf("message %q came: %s", msg.UUID, why)
		}
	case <-time.After(c.h.Quiet):
	}
}

func (c *consumer) close() {
	c.t.Helper()
	if err := c.group.Close(); err != nil {
		c.t.Fatalf("close the group: %v", err)
	}
}

func newMessage(id, key string) *message.Message {
	msg := message.NewMessage(id, []byte("payload of "+id))
	if key != "" {
		msg.Metadata.Set(header.Key, key)
	}
	return msg
}

// numbered makes n messages with the ids 0 to n-1, of a key each where keys is
// 0, or else sharing that many keys in turn.
func numbered(n, keys int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		key := i
		if keys > 0 {
			key = i % keys
		}
		msgs[i] = newMessage(fmt.Sprint(i), fmt.Sprintf("key-%d", key))
	}
	return msgs
}

// collect acks what comes on the channels until every id of want has been seen,
// and returns how often each was.
func collect(r *rig, want []*message.Message, consumers ...*consumer) map[string]int {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), r.h.Patience)
	defer cancel()
	in := make(chan string)
	for _, c := range consumers {
		go func() {
			for {
				select {
				case msg, open := <-c.ch:
					if !open {
						return
					}
					msg.Ack()
					select {
					case in <- msg.UUID:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	seen := map[string]int{}
	for len(seen) < len(want) {
		select {
		case id := <-in:
			seen[id]++
		case <-ctx.Done():
			r.t.Fatalf("only %d of %d messages came", len(seen), len(want))
		}
	}
	for quiet := time.After(r.h.Quiet); ; {
		select {
		case id := <-in:
			seen[id]++
		case <-quiet:
			return seen
		}
	}
}
