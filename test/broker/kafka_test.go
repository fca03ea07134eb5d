package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

func TestPlainWatermillServicesAreOnTheOtherSide(t *testing.T) {
	b, stock := openKafka(t, ""), stockPublisher(t)
	topic := makeTopic(t, 1, nil)
	for i, publisher := range []message.Publisher{stock, b} {
		msg := message.NewMessage(fmt.Sprintf("id-%d", i), []byte("payload"))
		msg.Metadata.Set("a", "1")
		if err := publisher.Publish(topic, msg); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]message.Subscriber{"stock": stockSubscriber(t, unique("g"), true), "ours": b.Group(unique("g"))} {
		ch := subscribe(t, s, topic)
		for i := range 2 {
			msg := next(t, ch)
			if msg.UUID != fmt.Sprintf("id-%d", i) || string(msg.Payload) != "payload" || msg.Metadata.Get("a") != "1" || len(msg.Metadata) != 1 {
				t.Errorf("%s reads %q %q %v", name, msg.UUID, msg.Payload, msg.Metadata)
			}
			msg.Ack()
		}
	}
}

func TestARevokedPartitionCancelsItsMessageAndGoesToTheOtherMember(t *testing.T) {
	b := openKafka(t, "")
	topic := twoPartitions(t, b)
	group := unique("g")
	members := []message.Subscriber{b.Group(group), b.Group(group)}
	first := subscribe(t, members[0], topic)
	held := []*message.Message{next(t, first), next(t, first)} // one of each partition, not acked
	second := subscribe(t, members[1], topic)
	for _, msg := range held {
		select {
		case <-msg.Context().Done():
		case <-time.After(patience):
			t.Fatal("the context of a message outlives the claim")
		}
	}
	if a, c := next(t, first), next(t, second); string(a.Payload) == string(c.Payload) {
		t.Errorf("both members got %q", a.Payload)
	}
	for _, msg := range held {
		msg.Ack() // late: another delivery of it is under way
	}
	for _, m := range members {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := subscribe(t, b.Group(group), topic)
	if a, c := next(t, again), next(t, again); string(a.Payload) == string(c.Payload) {
		t.Errorf("%q came twice", a.Payload)
	}
}

func TestASlowHandlerKeepsItsPartition(t *testing.T) {
	b := openKafka(t, "session_timeout=6s")
	topic := makeTopic(t, 1, nil)
	publishKeyed(t, b, topic, "slow", "behind")
	ch := subscribe(t, b.Group(unique("g")), topic)
	msg := next(t, ch)
	select {
	case <-msg.Context().Done():
		t.Fatal("the claim was lost while the handler ran")
	case <-time.After(9 * time.Second):
	}
	msg.Ack()
	if behind := next(t, ch); string(behind.Payload) != "behind" {
		t.Errorf("then came %q", behind.Payload)
	}
}

func TestWhatOnlyTheServerFindsTooLargeIsRefusedAlone(t *testing.T) {
	limit := "10000"
	topic := makeTopic(t, 1, map[string]*string{"max.message.bytes": &limit})
	b := openKafka(t, "")
	var batch []broker.Outgoing
	for i := range 20 {
		size := 1000 // 20 of them are too large together
		if i == 5 {
			size = 20_000
		}
		msg := message.NewMessage(fmt.Sprint(i), []byte(strings.Repeat("x", size)))
		msg.Metadata.Set(header.Key, "k")
		batch = append(batch, broker.Outgoing{Topic: topic, Message: msg})
	}
	results := b.PublishBatch(t.Context(), batch)
	for i, err := range results {
		if i == 5 != failure.IsPermanent(err) || i != 5 && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	ch := subscribe(t, b.Group(unique("g")), topic)
	last := -1
	for range 19 {
		msg := next(t, ch)
		var number int
		_, _ = fmt.Sscan(msg.UUID, &number)
		if number <= last {
			t.Errorf("%d came after %d", number, last)
		}
		last = number
		msg.Ack()
	}
}

func TestAMissingTopicIsSaidAndHoldsUpNoOther(t *testing.T) {
	b := openKafka(t, "create_topics=false")
	exists := makeTopic(t, 1, nil)
	missing := unique("missing")
	results := b.PublishBatch(t.Context(), []broker.Outgoing{
		{Topic: missing, Message: message.NewMessage("1", nil)},
		{Topic: exists, Message: message.NewMessage("2", nil)},
	})
	if len(results) != 2 || results[0] == nil || failure.IsPermanent(results[0]) || results[1] != nil ||
		!strings.Contains(results[0].Error(), "create_topics is false") {
		t.Errorf("results %v", results)
	}
}

func TestASubscriptionToATopicThatComesLaterWorks(t *testing.T) {
	b, publisher := openKafka(t, "create_topics=false"), openKafka(t, "partitions=1")
	topic := unique("later")
	ch := subscribe(t, b.Group(unique("g")), topic)
	if comes(ch, time.Second) {
		t.Fatal("a message from nowhere")
	}
	publishKeyed(t, publisher, topic, "a")
	next(t, ch).Ack()
}
