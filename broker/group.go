package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// Group is a subscriber of one consumer group.
type Group struct {
	broker *Broker
	name   string

	mu     sync.Mutex
	closed bool
	live   map[*subscription]struct{}
}

type subscription struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Group returns a subscriber of the consumer group name. Closing it ends its
// own subscriptions and not the broker. Each call returns another subscriber;
// those of one name share the messages. An empty name is refused by Subscribe.
func (b *Broker) Group(name string) message.Subscriber {
	return &Group{broker: b, name: name, live: map[*subscription]struct{}{}}
}

// SubscribeInitialize makes topic, and the group of the URL or of
// Config.ConsumerGroup, exist. See Group.SubscribeInitialize.
func (b *Broker) SubscribeInitialize(topic string) error { return b.all.SubscribeInitialize(topic) }

// Subscribe subscribes the group of the URL or of Config.ConsumerGroup. See
// Group.Subscribe.
func (b *Broker) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return b.all.Subscribe(ctx, topic)
}

// Subscribe delivers the messages of topic until ctx ends or the group or the
// broker is closed; the channel is then closed. Messages of different keys may
// be under way at the same time, where the broker declares KeyConcurrency; of
// one key, one. Their contexts derive from ctx.
func (g *Group) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := g.check(topic); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	sub := &subscription{cancel: cancel, done: make(chan struct{})}
	if err := g.enter(sub); err != nil {
		cancel()
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	in, err := g.broker.driver.Subscribe(ctx, topic, g.name)
	if err != nil {
		cancel()
		close(sub.done)
		g.leave(sub)
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	out := make(chan *message.Message)
	go func() {
		defer close(sub.done)
		defer g.leave(sub)
		defer close(out)
		defer cancel()
		pump(ctx, in, out)
	}()
	return out, nil
}

// SubscribeInitialize makes the topic and the group exist before anyone has
// subscribed, so that nothing published from now on passes the group by. It is
// Watermill's message.SubscribeInitializer, bounded by Config.PublishTimeout.
func (g *Group) SubscribeInitialize(topic string) error {
	if err := g.check(topic); err != nil {
		return err
	}
	initializer, can := g.broker.driver.(Initializer)
	if !can {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.broker.config.PublishTimeout)
	defer cancel()
	if err := initializer.Initialize(ctx, topic, g.name); err != nil {
		return fmt.Errorf("initialize group %q of %q: %w", g.name, topic, err)
	}
	return nil
}

func (g *Group) check(topic string) error {
	switch {
	case g.name == "":
		return errors.New("subscribe: no consumer group: set Config.ConsumerGroup or ?consumer_group=, or use Group(name)")
	case topic == "":
		return fmt.Errorf("subscribe: %w", errNoTopic)
	case g.isClosed():
		return fmt.Errorf("subscribe to %q: %w", topic, failure.Unavailable(ErrClosed))
	}
	return nil
}

// pump hands messages on until in is closed. A message whose context has ended
// was taken back by the broker and is dropped: it will come again.
func pump(ctx context.Context, in <-chan *message.Message, out chan<- *message.Message) {
	for msg := range in {
		if msg.Context().Err() != nil {
			continue
		}
		select {
		case out <- msg:
		case <-ctx.Done():
		}
	}
}

// enter and leave keep the books of the group itself and of the broker.
func (g *Group) enter(sub *subscription) error {
	if err := g.broker.all.add(sub); err != nil {
		return err
	}
	if g == g.broker.all {
		return nil
	}
	if err := g.add(sub); err != nil {
		g.broker.all.remove(sub)
		return err
	}
	return nil
}

func (g *Group) leave(sub *subscription) {
	g.remove(sub)
	g.broker.all.remove(sub)
}

func (g *Group) add(sub *subscription) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return failure.Unavailable(ErrClosed)
	}
	g.live[sub] = struct{}{}
	return nil
}

func (g *Group) remove(sub *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.live, sub)
}

func (g *Group) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Close ends the subscriptions of this subscriber and waits for them, by the
// end of Config.CloseTimeout. What was not acked goes back to the broker.
func (g *Group) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), g.broker.config.CloseTimeout)
	defer cancel()
	return g.close(ctx)
}

func (g *Group) close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	subs := make([]*subscription, 0, len(g.live))
	for sub := range g.live {
		sub.cancel()
		subs = append(subs, sub)
	}
	g.mu.Unlock()
	for _, sub := range subs {
		select {
		case <-sub.done:
		case <-ctx.Done():
			return fmt.Errorf("wait for subscriptions to end: %w", ctx.Err())
		}
	}
	return nil
}

// Capabilities returns what the group's broker declares.
func (g *Group) Capabilities() Capabilities { return g.broker.Capabilities() }
