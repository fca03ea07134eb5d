package broker_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// amqpTopic returns a topic and a group that are deleted at the end.
func amqpTopic(t *testing.T) (topic, group string) {
	t.Helper()
	amqpURL(t, "")
	topic, group = unique("topic"), unique("group")
	t.Cleanup(func() { deleteAMQP(t, topic, group) })
	return topic, group
}

func deleteAMQP(t *testing.T, topic string, groups ...string) {
	t.Helper()
	conn, err := amqp091.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		if _, err := ch.QueueDelete(topic+"_"+group, false, false, false); err != nil {
			t.Error(err)
		}
	}
	if err := ch.ExchangeDelete(topic, false, false); err != nil {
		t.Error(err)
	}
}

func initialize(t *testing.T, b *broker.Broker, topic string, groups ...string) {
	t.Helper()
	for _, group := range groups {
		g, ok := b.Group(group).(message.SubscribeInitializer)
		if !ok {
			t.Fatal("groups cannot be initialized")
		}
		if err := g.SubscribeInitialize(topic); err != nil {
			t.Fatal(err)
		}
	}
}

func stockAMQPConfig(group string, change func(*wmamqp.Config)) wmamqp.Config {
	config := wmamqp.NewDurablePubSubConfig(os.Getenv("AMQP_URL"), wmamqp.GenerateQueueNameTopicNameWithSuffix(group))
	if change != nil {
		change(&config)
	}
	return config
}

func stockAMQPPublisher(t *testing.T, change func(*wmamqp.Config)) *wmamqp.Publisher {
	t.Helper()
	p, err := wmamqp.NewPublisher(stockAMQPConfig("", change), watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func stockAMQPSubscriber(t *testing.T, group string) *wmamqp.Subscriber {
	t.Helper()
	s, err := wmamqp.NewSubscriber(stockAMQPConfig(group, nil), watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestPlainWatermillServicesShareTopicsOnRabbitMQ(t *testing.T) {
	topic, ours := amqpTopic(t)
	theirs := unique("group")
	b := openAMQP(t, "")
	subscribers := map[string]<-chan *message.Message{
		"stock": subscribe(t, stockAMQPSubscriber(t, theirs), topic),
		"ours":  subscribe(t, b.Group(ours), topic),
	}
	t.Cleanup(func() {
		_, _ = plainChannel(t).QueueDelete(topic+"_"+theirs, false, false, false)
	})
	for i, publisher := range []message.Publisher{stockAMQPPublisher(t, nil), b} {
		msg := message.NewMessage(fmt.Sprintf("id-%d", i), []byte("payload"))
		msg.Metadata.Set("a", "1")
		msg.Metadata.Set(header.Key, "k")
		if err := publisher.Publish(topic, msg); err != nil {
			t.Fatal(err)
		}
	}
	for name, ch := range subscribers {
		for i := range 2 {
			msg := next(t, ch)
			if msg.UUID != fmt.Sprintf("id-%d", i) || string(msg.Payload) != "payload" || len(msg.Metadata) != 2 ||
				msg.Metadata.Get("a") != "1" || msg.Metadata.Get(header.Key) != "k" {
				t.Errorf("%s reads %q %q %v", name, msg.UUID, msg.Payload, msg.Metadata)
			}
			msg.Ack()
		}
	}
}

func TestAPlainWatermillSubscriberCanBeAMemberOfASharedGroup(t *testing.T) {
	topic, group := amqpTopic(t)
	b := openAMQP(t, "consumer=shared")
	ours := subscribe(t, b.Group(group), topic)
	stock := subscribe(t, stockAMQPSubscriber(t, group), topic)
	publishKeyed(t, b, topic, "a", "b", "c", "d", "e", "f")
	next(t, ours).Ack()
	next(t, stock).Ack()
	for range 4 {
		select {
		case msg := <-ours:
			msg.Ack()
		case msg := <-stock:
			msg.Ack()
		case <-time.After(patience):
			t.Fatal("a message is missing")
		}
	}
}

func TestTrapAMessageToNobodyIsLostWithoutAnErrorOnTheStockPublisher(t *testing.T) {
	topic, group := amqpTopic(t)
	b := openAMQP(t, "")
	for name, change := range map[string]func(*wmamqp.Config){
		"stock": nil, "stock with confirms": func(c *wmamqp.Config) { c.Publish.ConfirmDelivery = true },
	} {
		if err := stockAMQPPublisher(t, change).Publish(topic, message.NewMessage(name, nil)); err != nil {
			t.Errorf("%s: %v: the trap is gone", name, err)
		}
	}
	err := b.Publish(topic, message.NewMessage("ours", nil))
	if !failure.IsUnavailable(err) || failure.IsPermanent(err) || !strings.Contains(err.Error(), "no consumer group") {
		t.Errorf("ours: %v", err)
	}
	ch := subscribe(t, b.Group(group), topic)
	if err := b.Publish(topic, message.NewMessage("ours", nil)); err != nil {
		t.Fatal(err)
	}
	if msg := next(t, ch); msg.UUID != "ours" {
		t.Errorf("%q came", msg.UUID)
	} else {
		msg.Ack()
	}
}

func TestAMessageToNobodyHoldsUpNoOtherTopicAndMayBeDropped(t *testing.T) {
	topic, group := amqpTopic(t)
	nobody, _ := amqpTopic(t)
	b := openAMQP(t, "groups="+topic+"/"+group)
	var batch []broker.Outgoing
	for i, to := range []string{nobody, topic, nobody, topic} {
		msg := message.NewMessage(fmt.Sprint(i+1), nil)
		msg.Metadata.Set(header.Key, "k")
		batch = append(batch, broker.Outgoing{Topic: to, Message: msg})
	}
	results := b.PublishBatch(t.Context(), batch)
	if len(results) != 4 || !failure.IsUnavailable(results[0]) || results[1] != nil || !failure.IsUnavailable(results[2]) || results[3] != nil {
		t.Errorf("results %v", results)
	}
	ch := subscribe(t, b.Group(group), topic) // the group was declared by the publisher
	for _, id := range []string{"2", "4"} {
		if msg := next(t, ch); msg.UUID != id {
			t.Errorf("%q came, want %q", msg.UUID, id)
		} else {
			msg.Ack()
		}
	}
	if err := openAMQP(t, "unrouted=drop").Publish(nobody, message.NewMessage("5", nil)); err != nil {
		t.Errorf("with unrouted=drop: %v", err)
	}
}

func TestTrapANackComesBackAtOnceOnTheStockSubscriber(t *testing.T) {
	const window = time.Second
	nacks := func(ch <-chan *message.Message) (n int) {
		for deadline := time.After(window); ; n++ {
			select {
			case msg := <-ch:
				msg.Nack()
			case <-deadline:
				return n
			}
		}
	}
	topic, group := amqpTopic(t)
	theirs := unique("group")
	b := openAMQP(t, "")
	stock := subscribe(t, stockAMQPSubscriber(t, theirs), topic)
	t.Cleanup(func() { _, _ = plainChannel(t).QueueDelete(topic+"_"+theirs, false, false, false) })
	ours := subscribe(t, b.Group(group), topic)
	publishKeyed(t, b, topic, "a")
	s, o := nacks(stock), nacks(ours)
	t.Logf("deliveries within %s: stock %d, ours %d", window, s, o)
	if s < 100 {
		t.Errorf("only %d on the stock subscriber: the trap is gone", s)
	}
	if o < 2 || o > 20 {
		t.Errorf("%d on ours", o)
	}
}

func TestTrapAHeaderThatIsNoTextComesForEverOnTheStockSubscriber(t *testing.T) {
	topic, group := amqpTopic(t)
	theirs := unique("group")
	b := openAMQP(t, "")
	stock := subscribe(t, stockAMQPSubscriber(t, theirs), topic)
	t.Cleanup(func() { _, _ = plainChannel(t).QueueDelete(topic+"_"+theirs, false, false, false) })
	ours := subscribe(t, b.Group(group), topic)
	ch := plainChannel(t)
	if err := ch.PublishWithContext(t.Context(), topic, "", false, false,
		amqp091.Publishing{Headers: amqp091.Table{"retries": int32(1)}, Body: []byte("theirs")}); err != nil {
		t.Fatal(err)
	}
	publishKeyed(t, b, topic, "behind")
	msg := next(t, ours)
	if string(msg.Payload) != "theirs" || msg.Metadata.Get("retries") != "1" || len(msg.UUID) != 36 {
		t.Errorf("ours gets %q %v", msg.UUID, msg.Metadata)
	}
	msg.Ack()
	next(t, ours).Ack()
	if comes(stock, quiet/3) {
		t.Error("the stock subscriber goes on: the trap is gone")
	}
}

func TestTrapTheStockPublisherWaitsForEachConfirm(t *testing.T) {
	const n = 1000
	topic, group := amqpTopic(t)
	b := openAMQP(t, "")
	initialize(t, b, topic, group)
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewShortUUID(), make([]byte, 256))
	}
	took := map[string]time.Duration{}
	for name, publisher := range map[string]message.Publisher{
		"ours": b,
		"stock": stockAMQPPublisher(t, func(c *wmamqp.Config) {
			c.Publish.ConfirmDelivery, c.Publish.ChannelPoolSize = true, 1
		}),
	} {
		if err := publisher.Publish(topic, msgs[0]); err != nil { // connects
			t.Fatal(err)
		}
		start := time.Now()
		if err := publisher.Publish(topic, msgs...); err != nil {
			t.Fatal(err)
		}
		took[name] = time.Since(start)
	}
	ratio := float64(took["stock"]) / float64(took["ours"])
	t.Logf("%d messages of 256 bytes: stock %s, ours %s, ratio %.1f", n, took["stock"], took["ours"], ratio)
	if ratio < 2 {
		t.Error("the stock publisher keeps up: the trap is gone")
	}
}

var _ brokertest.T = (*testing.T)(nil)
