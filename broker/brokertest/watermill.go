package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/sluicegate/sluicegate/broker"
)

// Watermill runs Watermill's own suite for Pub/Subs against the broker at url,
// which all of its tests share. It knows neither keys nor partial results, and
// publishes before it subscribes, so it does not replace Run. Features says
// what it may expect; with ExactlyOnceDelivery it skips two of its tests, so
// it is run with and without. Each topic and group is told to used before it
// is used.
func Watermill(t *testing.T, url string, features tests.Features, used ...func(topic, group string)) {
	open := func(t *testing.T, group string) *broker.Broker {
		t.Helper()
		b, err := broker.Open(t.Context(), url, broker.Config{ConsumerGroup: group, PublishTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	// Some of the tests close the one and go on with the other.
	both := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		return open(t, group), &told{Broker: open(t, group), group: group, used: used}
	}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return both(t, "watermill") },
		both,
	)
}

// told is a subscriber that tells what it uses.
type told struct {
	*broker.Broker
	group string
	used  []func(topic, group string)
}

func (b *told) tell(topic string) {
	for _, used := range b.used {
		used(topic, b.group)
	}
}

// SubscribeInitialize is message.SubscribeInitializer.
func (b *told) SubscribeInitialize(topic string) error {
	b.tell(topic)
	return b.Broker.SubscribeInitialize(topic)
}

// Subscribe is message.Subscriber.
func (b *told) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	b.tell(topic)
	return b.Broker.Subscribe(ctx, topic)
}
