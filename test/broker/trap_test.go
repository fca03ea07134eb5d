package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// patience is how long what must happen on a real server may take, and quiet
// how long nothing must happen to be believed.
const (
	patience = 30 * time.Second
	quiet    = 3 * time.Second
)

func stockSubscriber(t *testing.T, group string, oldest bool) *wmkafka.Subscriber {
	t.Helper()
	config := wmkafka.DefaultSaramaSubscriberConfig()
	if oldest {
		config.Consumer.Offsets.Initial = sarama.OffsetOldest
	}
	s, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: brokers(t), ConsumerGroup: group, OverwriteSaramaConfig: config,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func stockPublisher(t *testing.T) *wmkafka.Publisher {
	t.Helper()
	p, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{Brokers: brokers(t)}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func subscribe(t *testing.T, s message.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	ch, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t *testing.T, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-ch:
		if !open {
			t.Fatal("the subscription ended")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return nil
}

// comes reports whether a message comes within d. It is left unanswered.
func comes(ch <-chan *message.Message, d time.Duration) bool {
	select {
	case msg, open := <-ch:
		return open && msg != nil
	case <-time.After(d):
		return false
	}
}

// makeTopic creates a topic of so many partitions.
func makeTopic(t *testing.T, partitions int32, config map[string]*string) string {
	t.Helper()
	c := sarama.NewConfig()
	admin, err := sarama.NewClusterAdmin(brokers(t), c)
	if err != nil {
		t.Fatal(err)
	}
	topic := unique("topic")
	err = admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1, ConfigEntries: config}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = admin.DeleteTopic(topic)
		_ = admin.Close()
	})
	return topic
}

func publishKeyed(t *testing.T, b *broker.Broker, topic string, keys ...string) {
	t.Helper()
	var msgs []*message.Message
	for _, key := range keys {
		msg := message.NewMessage("id-"+key, []byte(key))
		msg.Metadata.Set(header.Key, key)
		msgs = append(msgs, msg)
	}
	if err := b.Publish(topic, msgs...); err != nil {
		t.Fatal(err)
	}
}

func TestTrapAForeignMessageHasNoUUIDOnTheStockSubscriber(t *testing.T) {
	b := openKafka(t, "")
	topic := makeTopic(t, 1, nil)
	foreign(t, topic, nil, []byte("raw"), nil)
	if msg := next(t, subscribe(t, stockSubscriber(t, unique("g"), true), topic)); msg.UUID != "" {
		t.Errorf("the stock subscriber gives it the UUID %q: the trap is gone", msg.UUID)
	}
	if msg := next(t, subscribe(t, b.Group(unique("g")), topic)); len(msg.UUID) != 36 {
		t.Errorf("ours gives it the UUID %q", msg.UUID)
	}
}

func TestTrapANewGroupMissesOldMessagesOnTheStockSubscriber(t *testing.T) {
	b := openKafka(t, "")
	topic := makeTopic(t, 1, nil)
	publishKeyed(t, b, topic, "a")
	if comes(subscribe(t, stockSubscriber(t, unique("g"), false), topic), quiet) {
		t.Error("it comes on the stock subscriber: the trap is gone")
	}
	if msg := next(t, subscribe(t, b.Group(unique("g")), topic)); string(msg.Payload) != "a" {
		t.Errorf("ours gives %q", msg.Payload)
	}
}

// nackAll nacks whatever comes, and tells of it.
func nackAll(ctx context.Context, ch <-chan *message.Message) <-chan string {
	told := make(chan string, 10_000)
	go func() {
		for {
			select {
			case msg, open := <-ch:
				if !open {
					return
				}
				told <- string(msg.Payload)
				msg.Nack()
			case <-ctx.Done():
				return
			}
		}
	}()
	return told
}

// waitBoth waits until the member has both partitions.
func waitBoth(t *testing.T, told <-chan string) {
	t.Helper()
	seen := map[string]bool{}
	for deadline := time.After(patience); len(seen) < 2; {
		select {
		case payload := <-told:
			seen[payload] = true
		case <-deadline:
			t.Fatalf("only %v came", seen)
		}
	}
}

// twoPartitions fills a topic with one message in each of two partitions.
func twoPartitions(t *testing.T, b *broker.Broker) string {
	t.Helper()
	topic := makeTopic(t, 2, nil)
	publishKeyed(t, b, topic, "abc", "21") // murmur2 places them apart
	return topic
}

func TestTrapANackLoopKeepsTheStockSubscriberFromLettingGo(t *testing.T) {
	b := openKafka(t, "nack_delay=100ms&nack_delay_max=100ms")
	topic := twoPartitions(t, b)
	t.Run("stock: a second member gets nothing", func(t *testing.T) {
		group := unique("g")
		waitBoth(t, nackAll(t.Context(), subscribe(t, stockSubscriber(t, group, true), topic)))
		if comes(subscribe(t, stockSubscriber(t, group, true), topic), 8*time.Second) {
			t.Error("the second member got a partition: the trap is gone")
		}
	})
	t.Run("ours: it gets its partition", func(t *testing.T) {
		group := unique("g")
		waitBoth(t, nackAll(t.Context(), subscribe(t, b.Group(group), topic)))
		start := time.Now()
		next(t, subscribe(t, b.Group(group), topic))
		t.Logf("after %s", time.Since(start))
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("only after %s", took)
		}
	})
}

func TestTrapTheStockPublisherSendsOneByOne(t *testing.T) {
	const n = 5000
	b, stock := openKafka(t, ""), stockPublisher(t)
	topic := makeTopic(t, 1, nil)
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewShortUUID(), make([]byte, 256))
	}
	took := map[string]time.Duration{}
	for name, publisher := range map[string]message.Publisher{"stock": stock, "ours": b} {
		if err := publisher.Publish(topic, msgs[0]); err != nil { // connects
			t.Fatal(err)
		}
		start := time.Now()
		if err := publisher.Publish(topic, msgs...); err != nil {
			t.Fatal(err)
		}
		took[name] = time.Since(start)
	}
	t.Logf("%d messages of 256 bytes: stock %s, ours %s, ratio %.1f", n, took["stock"], took["ours"],
		float64(took["stock"])/float64(took["ours"]))
}
