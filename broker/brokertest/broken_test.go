package brokertest_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

var declared = broker.Capabilities{
	Driver: "memory", Order: broker.OrderByKey, Groups: true, KeyConcurrency: true, ConsumedAck: true,
	MaxMessageBytes: 1000,
}

// sound passes everything on to a memory broker, and refuses large messages so
// that this case can be broken as well. The broken drivers embed it.
type sound struct{ b *broker.Broker }

func (s sound) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	results := make([]error, len(msgs))
	var small []broker.Outgoing
	var index []int
	for i, m := range msgs {
		if len(m.Message.Payload) > declared.MaxMessageBytes {
			results[i] = failure.Permanent(context.Canceled)
			continue
		}
		small, index = append(small, m), append(index, i)
	}
	for j, err := range s.b.PublishBatch(ctx, small) {
		results[index[j]] = err
	}
	return results
}

func (s sound) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	return s.b.Group(group).Subscribe(ctx, topic)
}

func (s sound) Check(ctx context.Context) error { return s.b.Check(ctx) }
func (s sound) Close(context.Context) error     { return s.b.Close() }
func (s sound) Capabilities() broker.Capabilities {
	c := s.b.Capabilities()
	c.MaxMessageBytes = declared.MaxMessageBytes
	return c
}

// altered breaks one method.
type altered struct {
	sound
	publish   func(s sound, ctx context.Context, msgs []broker.Outgoing) []error
	subscribe func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error)
	caps      func(*broker.Capabilities)
	check     func(s sound, ctx context.Context) error
}

func (a altered) Check(ctx context.Context) error {
	if a.check != nil {
		return a.check(a.sound, ctx)
	}
	return a.sound.Check(ctx)
}

func (a altered) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	if a.publish != nil {
		return a.publish(a.sound, ctx, msgs)
	}
	return a.sound.PublishBatch(ctx, msgs)
}

func (a altered) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	if a.subscribe != nil {
		return a.subscribe(a.sound, ctx, topic, group)
	}
	return a.sound.Subscribe(ctx, topic, group)
}

func (a altered) Capabilities() broker.Capabilities {
	c := a.sound.Capabilities()
	if a.caps != nil {
		a.caps(&c)
	}
	return c
}

// through passes messages on as change makes them; nil drops one.
func through(change func(ctx context.Context, msg *message.Message) *message.Message) func(sound, context.Context, string, string) (<-chan *message.Message, error) {
	return func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error) {
		in, err := s.Subscribe(ctx, topic, group)
		out := make(chan *message.Message)
		go func() {
			defer close(out)
			for msg := range in {
				if msg = change(ctx, msg); msg == nil {
					continue
				}
				select {
				case out <- msg:
				case <-ctx.Done():
				}
			}
		}()
		return out, err
	}
}

// answered copies msg and lets answer decide what its ack and nack mean.
func answered(ctx context.Context, msg *message.Message, onNack func()) *message.Message {
	replaced := msg.Copy()
	replaced.SetContext(msg.Context())
	go func() {
		select {
		case <-replaced.Acked():
			msg.Ack()
		case <-replaced.Nacked():
			onNack()
		case <-ctx.Done():
		}
	}()
	return replaced
}

var counter atomic.Int64

// broken lists what is broken and the cases that must notice.
var broken = []struct {
	name   string
	driver altered
	caught []string
}{
	{"drops every tenth message and reports it as published", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		kept := slices.DeleteFunc(slices.Clone(msgs), func(broker.Outgoing) bool { return counter.Add(1)%10 == 0 })
		if len(kept) == 0 {
			return nil
		}
		s.PublishBatch(ctx, kept)
		return nil
	}}, []string{"the messages of a key come in the order of publishing", "publishers at the same time lose nothing"}},
	{"acknowledges before the groups have", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		go s.PublishBatch(context.WithoutCancel(ctx), msgs)
		return nil
	}}, []string{"publish does not return before every group has acked", "a batch whose context has ended is reported as not acknowledged"}},
	{"publishes a batch backwards", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		turned := slices.Clone(msgs)
		slices.Reverse(turned)
		return s.PublishBatch(ctx, turned)
	}}, []string{"the messages of a key come in the order of publishing", "no message of its key overtakes a nacked one"}},
	{"forgets the key", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		for i := range msgs {
			msgs[i].Message = msgs[i].Message.Copy()
			delete(msgs[i].Message.Metadata, header.Key)
		}
		return s.PublishBatch(ctx, msgs)
	}}, []string{"UUID, key, metadata and payload arrive as they were sent", "one message of a key is under way at a time"}},
	{"reports one failure for the whole batch", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		results := s.PublishBatch(ctx, msgs)
		for _, err := range results {
			if err != nil {
				for i := range results {
					results[i] = err
				}
			}
		}
		return results
	}}, []string{"a message that is too large is refused for good and the others go on"}},
	{"calls the context's end permanent", altered{publish: func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
		results := s.PublishBatch(ctx, msgs)
		for i := range results {
			results[i] = failure.Permanent(results[i])
		}
		return results
	}}, []string{"a batch whose context has ended is reported as not acknowledged"}},
	{"loses what is nacked", altered{subscribe: through(func(ctx context.Context, msg *message.Message) *message.Message {
		return answered(ctx, msg, func() { msg.Ack() })
	})}, []string{"a nacked message comes again after a delay"}},
	{"puts what is nacked behind the queue", altered{subscribe: func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error) {
		return through(func(ctx context.Context, msg *message.Message) *message.Message {
			return answered(ctx, msg, func() {
				go func() { _ = s.b.Publish(topic, msg.Copy()) }()
				msg.Ack()
			})
		})(s, ctx, topic, group)
	}}, []string{"no message of its key overtakes a nacked one"}},
	{"gives each subscriber everything", altered{subscribe: func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error) {
		return s.Subscribe(ctx, topic, group+rand.Text())
	}}, []string{"the subscribers of one group share the messages", "a message without an ack goes to the next subscriber"}},
	{"has one group for all", altered{subscribe: func(s sound, ctx context.Context, topic, _ string) (<-chan *message.Message, error) {
		return s.Subscribe(ctx, topic, "all")
	}}, []string{"every group gets every message"}},
	{"acks what it delivers", altered{subscribe: through(func(_ context.Context, msg *message.Message) *message.Message {
		other := msg.Copy()
		other.SetContext(msg.Context())
		msg.Ack()
		return other
	})}, []string{"a message without an ack goes to the next subscriber", "an ack after the subscription has ended marks nothing", "publish does not return before every group has acked"}},
	{"leaves contexts alive", altered{subscribe: through(func(_ context.Context, msg *message.Message) *message.Message {
		msg.SetContext(context.WithoutCancel(msg.Context()))
		return msg
	})}, []string{"the context of a message ends with its subscription", "a subscription ends with its context"}},
	{"lets metadata be forged", altered{subscribe: through(func(_ context.Context, msg *message.Message) *message.Message {
		msg.Metadata.Set(header.Prefix+"attempt", "forged")
		return msg
	})}, []string{"metadata of Sluicegate's own cannot be forged"}},
	{"makes nil payloads empty", altered{subscribe: through(func(_ context.Context, msg *message.Message) *message.Message {
		msg.Payload = append([]byte{}, msg.Payload...)
		return msg
	})}, []string{"a nil payload stays nil and an empty one empty"}},
	{"stops at a failing key", altered{subscribe: func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error) {
		return through(func(ctx context.Context, msg *message.Message) *message.Message {
			if msg.Metadata.Get(header.Key) == "bad" {
				<-ctx.Done()
			}
			return msg
		})(s, ctx, topic, group)
	}}, []string{"a failing key does not stop the others"}},
	{"leaks a goroutine", altered{subscribe: func(s sound, ctx context.Context, topic, group string) (<-chan *message.Message, error) {
		leaked := make(chan struct{})
		go func() { <-leaked }()
		time.AfterFunc(20*time.Second, func() { close(leaked) })
		return s.Subscribe(ctx, topic, group)
	}}, []string{"close leaves no goroutine, whatever is under way"}},
	{"declares what it cannot do", altered{caps: func(c *broker.Capabilities) { c.Delay = true }},
		[]string{"the declared capabilities are the pinned ones"}},
}

func harness(scheme string) brokertest.Harness {
	return brokertest.Harness{
		URL:      func(brokertest.T) string { return scheme + "://" + rand.Text() },
		Declared: declared,
		Patience: 500 * time.Millisecond,
	}
}

// register makes driver available under a scheme of its own, which it returns:
// schemes cannot be taken back, and the tests may run twice.
func register(driver altered) (scheme string) {
	scheme = "altered-" + strings.ToLower(rand.Text())
	broker.Register(scheme, func(ctx context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
		if opts.ValidateOnly {
			return nil, nil
		}
		b, err := broker.Open(ctx, "memory://"+u.Host, broker.Config{Logger: opts.Logger})
		driver.sound = sound{b}
		return driver, err
	})
	return scheme
}

func TestTheSuitePassesASoundDriver(t *testing.T) {
	h := harness(register(altered{}))
	h.Patience = 10 * time.Second
	brokertest.Run(t, h)
}

func TestTheSuiteCatchesADriverThat(t *testing.T) {
	cases := map[string]brokertest.Case{}
	for _, c := range brokertest.Cases() {
		cases[c.Name] = c
	}
	for _, b := range broken {
		scheme := register(b.driver)
		t.Run(b.name, func(t *testing.T) {
			for _, name := range b.caught {
				c, known := cases[name]
				if !known {
					t.Fatalf("there is no case %q", name)
				}
				how := failures(t, c, harness(scheme))
				if len(how) == 0 {
					t.Errorf("passes the case %q", name)
				}
				t.Logf("%s: %s", name, strings.Join(how, "; "))
			}
		})
	}
}
