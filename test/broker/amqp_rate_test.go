package broker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestAMQPConsumesFasterThanTheStockSubscriber(t *testing.T) {
	const batches, size = 1, 600
	topic, group := amqpTopic(t)
	theirs := unique("group")
	b := openAMQP(t, "")
	stock := stockAMQPSubscriber(t, theirs)
	if err := stock.SubscribeInitialize(topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = plainChannel(t).QueueDelete(topic+"_"+theirs, false, false, false) })
	initialize(t, b, topic, group)
	ourRate(t, b, topic, 1, batches, size)
	for _, work := range []time.Duration{0, 2 * time.Millisecond} {
		if work > 0 {
			ourRate(t, b, topic, 1, batches, size)
		}
		n := batches * size
		s := consumeRate(t, stock, topic, n, work)
		o := consumeRate(t, b.Group(group), topic, n, work)
		t.Logf("%d messages, handlers of %s: stock %.0f, ours %.0f messages/s", n, work, s, o)
		if work > 0 && o < 4*s {
			t.Error("not four times the stock subscriber's rate")
		}
	}
}

// consumeRate handles n messages as Watermill's router does, each in a
// goroutine of its own.
func consumeRate(t *testing.T, s message.Subscriber, topic string, n int, work time.Duration) float64 {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := s.Subscribe(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var handlers sync.WaitGroup
	for range n {
		msg := next(t, ch)
		handlers.Go(func() {
			if work > 0 {
				<-time.After(work)
			}
			msg.Ack()
		})
	}
	handlers.Wait()
	took := time.Since(start)
	cancel()
	for range ch { // until it is closed: the next subscription shall get all
	}
	return float64(n) / took.Seconds()
}
