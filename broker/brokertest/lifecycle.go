package brokertest

import (
	"context"
	"errors"

	"go.uber.org/goleak"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var lifecycleCases = []Case{
	{Name: "the context of a message ends with its subscription", Run: checkMessageContext},
	{Name: "a subscription ends with its context", Run: checkSubscribeContext},
	{Name: "closing a group leaves the broker and its other groups alone", Run: checkGroupClose},
	{Name: "close may be called again, and then everything is refused", Run: checkClose},
	{Name: "a subscription without a group is refused", Run: checkNoGroup},
	{Name: "close leaves no goroutine, whatever is under way", Run: checkLeaks},
}

func checkMessageContext(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	c := r.subscribe(group)
	done := r.publish(newMessage("1", "a"))
	msg := c.next()
	if err := msg.Context().Err(); err != nil {
		t.Fatalf("the context has ended before the message was handled: %v", err)
	}
	c.close()
	within(r, msg.Context().Done(), "the context of the message to end")
	r.subscribe(group).acked(1)
	r.published(done)
}

func checkSubscribeContext(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "mine"))
	defer cancel()
	ch, err := r.b.Group(group).Subscribe(ctx, r.topic)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	done := r.publish(newMessage("1", "a"))
	msg := within(r, ch, "a message")
	if msg.Context().Value(key{}) != "mine" {
		t.Errorf("the context of the message does not derive from that of its subscription")
	}
	cancel()
	within(r, msg.Context().Done(), "the context of the message to end")
	for open := true; open; {
		select {
		case _, open = <-ch:
		case <-t.Context().Done():
			t.Fatalf("the channel was not closed")
		}
	}
	r.subscribe(group).acked(1)
	r.published(done)
}

func checkGroupClose(t T, h Harness) {
	r := newRig(t, h)
	stays, goes := r.subscribe(unique("stays")), unique("goes")
	g := r.subscribe(goes)
	g.close()
	g.close()
	if _, err := g.group.Subscribe(t.Context(), r.topic); err == nil {
		t.Errorf("a closed group can subscribe")
	}
	again := r.subscribe(goes) // or its messages would stay unacked
	done := r.publish(newMessage("1", "a"))
	stays.acked(1)
	again.acked(1)
	r.published(done)
}

func checkClose(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	for range 2 {
		if err := r.b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, open := <-c.ch; open {
		t.Errorf("a message came after the close")
	}
	if err := r.b.Publish(r.topic, newMessage("1", "a")); !errors.Is(err, broker.ErrClosed) || !failure.IsUnavailable(err) {
		t.Errorf("publish: %v, want unavailable, closed", err)
	}
	if _, err := r.b.Group("g").Subscribe(t.Context(), r.topic); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("subscribe: %v, want closed", err)
	}
	if err := r.b.Check(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("check: %v, want closed", err)
	}
}

func checkNoGroup(t T, h Harness) {
	r := newRig(t, h)
	if _, err := r.b.Group("").Subscribe(t.Context(), r.topic); err == nil {
		t.Errorf("subscribed without a group")
	}
	if _, err := r.b.Group("g").Subscribe(t.Context(), ""); err == nil {
		t.Errorf("subscribed without a topic")
	}
}

func checkLeaks(t T, h Harness) {
	before := goleak.IgnoreCurrent()
	r := newRig(t, h)
	idle, group := r.subscribe(unique("idle")), unique("group")
	c := r.subscribe(group)
	done := r.publish(numbered(20, 0)...)
	var held []*message.Message
	for range 2 {
		held = append(held, c.next())
	}
	held[0].Nack()
	_ = idle
	if err := r.b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := within(r, done, "Publish to return"); err == nil && h.Declared.ConsumedAck {
		t.Errorf("publish succeeded, though nothing was acked")
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("%v", err)
	}
}
