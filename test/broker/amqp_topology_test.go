package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestADeletedQueueOrTopicIsMadeAgainOnRabbitMQ(t *testing.T) {
	topic, group := amqpTopic(t)
	b := openAMQP(t, "")
	ch := subscribe(t, b.Group(group), topic)
	publishKeyed(t, b, topic, "a")
	next(t, ch).Ack()
	plain := plainChannel(t)
	if _, err := plain.QueueDelete(topic+"_"+group, false, false, false); err != nil {
		t.Fatal(err)
	}
	if err := plain.ExchangeDelete(topic, false, false); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for deadline := time.Now().Add(patience); ; failures++ {
		err := b.Publish(topic, message.NewMessage("b", nil))
		if err == nil {
			break
		}
		if !failure.IsUnavailable(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	if failures == 0 {
		t.Error("a message was published to a topic that was not there")
	}
	if msg := next(t, ch); msg.UUID != "b" {
		t.Errorf("%q came", msg.UUID)
	} else {
		msg.Ack()
	}
}

func TestAQueueWithOtherArgumentsIsAnErrorThatSaysWhatToDo(t *testing.T) {
	topic, group := amqpTopic(t)
	initialize(t, openAMQP(t, "consumer=shared"), topic, group)
	for _, params := range []string{"", "queue_type=quorum"} {
		_, err := openAMQP(t, params).Group(group).Subscribe(t.Context(), topic)
		if err == nil || failure.IsUnavailable(err) || !strings.Contains(err.Error(), "set consumer and queue_type as they were") {
			t.Errorf("%q: %v", params, err)
		}
	}
	if err := plainChannel(t).ExchangeDeclare(topic+"-direct", "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plainChannel(t).ExchangeDelete(topic+"-direct", false, false) })
	if err := openAMQP(t, "").Publish(topic+"-direct", message.NewMessage("1", nil)); err == nil || !strings.Contains(err.Error(), "declare=false") {
		t.Errorf("an exchange of another kind: %v", err)
	}
	if err := openAMQP(t, "declare=false").Publish(unique("missing"), message.NewMessage("1", nil)); err == nil ||
		!strings.Contains(err.Error(), "set declare=true") {
		t.Errorf("a missing exchange: %v", err)
	}
}

func TestTwoPairsOfTheSameQueueNameAreRefused(t *testing.T) {
	topic, group := amqpTopic(t)
	b := openAMQP(t, "")
	subscribe(t, b.Group("x_"+group), topic)
	t.Cleanup(func() { _, _ = plainChannel(t).QueueDelete(topic+"_x_"+group, false, false, false) })
	initialize(t, b, topic, group)
	_, err := b.Group(group).Subscribe(t.Context(), topic+"_x")
	if !failure.IsPermanent(err) || !strings.Contains(err.Error(), "share the queue") {
		t.Errorf("got %v", err)
	}
}

// TestAFullQueueRefusesAndTheOrderOfAKeyIsKept has a queue of ten places, which
// refuses what is too much, and a consumer that makes room at any moment.
func TestAFullQueueRefusesAndTheOrderOfAKeyIsKept(t *testing.T) {
	const n = 200
	topic, group := amqpTopic(t)
	plain := plainChannel(t)
	if err := plain.ExchangeDeclare(topic, "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.QueueDeclare(topic+"_"+group, true, false, false, false, amqp091.Table{
		"x-max-length": int32(10), "x-overflow": "reject-publish", "x-single-active-consumer": true,
	}); err != nil {
		t.Fatal(err)
	}
	if err := plain.QueueBind(topic+"_"+group, "", topic, false, nil); err != nil {
		t.Fatal(err)
	}
	b := openAMQP(t, "declare=false")
	left := unacknowledged(t, oneKey(topic, n), b.PublishBatch(t.Context(), oneKey(topic, n)))
	if acknowledged := n - len(left); acknowledged < 10 || acknowledged > 20 {
		t.Fatalf("%d messages were acknowledged by a queue of ten places", acknowledged)
	}
	done := make(chan int)
	ch := subscribe(t, openAMQP(t, "declare=false&prefetch=1&concurrency=1").Group(group), topic)
	go func() {
		calls := 1
		for ; len(left) > 0 && t.Context().Err() == nil; calls++ {
			left = unacknowledged(t, left, b.PublishBatch(t.Context(), left))
		}
		done <- calls
	}()
	deliveries := inOrder(t, slowly(ch), n)
	calls := <-done
	t.Logf("%d calls, %d deliveries", calls, deliveries)
	if calls < 5 {
		t.Errorf("the queue was hardly ever full")
	}
}

// slowly passes messages on, one in 2 ms.
func slowly(in <-chan *message.Message) <-chan *message.Message {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for msg := range in {
			<-time.After(2 * time.Millisecond)
			select {
			case out <- msg:
			case <-msg.Context().Done():
			}
		}
	}()
	return out
}
