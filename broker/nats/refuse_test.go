package nats_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestWhatTheStreamRefusesIsRefusedAlone(t *testing.T) {
	s := startServer(t, "max_payload: 100000")
	js := s.plain()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"t"}, MaxMsgSize: 5000, AllowAtomicPublish: true}); err != nil {
		t.Fatal(err)
	}
	b := s.open("")
	var batch []broker.Outgoing
	for i := range 20 {
		msg := keyed(fmt.Sprint(i), "k")
		topic := "t"
		switch i {
		case 5:
			msg.Payload = make([]byte, 6000)
		case 7:
			msg.Payload, topic = make([]byte, 100_000), "u"
		case 9:
			topic = "no wild*cards"
		}
		batch = append(batch, broker.Outgoing{Topic: topic, Message: msg})
	}
	for i, err := range b.PublishBatch(t.Context(), batch) {
		if bad := i == 5 || i == 7 || i == 9; bad != failure.IsPermanent(err) || !bad && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil || stream.CachedInfo().State.Msgs != 17 {
		t.Errorf("%v: %d messages stored, want 17", err, stream.CachedInfo().State.Msgs)
	}
}

func TestStreamsAndConsumersThatBreakAPromiseAreRefusedWithWhatToDo(t *testing.T) {
	s := startServer(t, "")
	js := s.plain()
	for i, c := range []struct {
		stream   jetstream.StreamConfig
		consumer *jetstream.ConsumerConfig
		params   string
		want     string
	}{
		{stream: jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, want: "retention limits"},
		{stream: jetstream.StreamConfig{NoAck: true}, want: "no_ack"},
		{stream: jetstream.StreamConfig{Storage: jetstream.MemoryStorage}, want: "storage=memory"},
		{params: "create=false", want: "create is false"},
		{params: "stream=OTHER&create=false", want: "held by stream"},
		{consumer: &jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3}, want: "max_deliver"},
		{consumer: &jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy}, want: "order=none"},
	} {
		topic := fmt.Sprintf("t%d", i)
		c.stream.Name, c.stream.Subjects = topic, []string{topic}
		if c.params != "create=false" {
			if _, err := js.CreateStream(t.Context(), c.stream); err != nil {
				t.Fatal(err)
			}
		}
		if c.consumer != nil {
			c.consumer.Durable, c.consumer.FilterSubject = "g__"+topic, topic
			if _, err := js.CreateConsumer(t.Context(), topic, *c.consumer); err != nil {
				t.Fatal(err)
			}
		}
		b, err := broker.Open(t.Context(), s.url(c.params), broker.Config{ConsumerGroup: "g"})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SubscribeInitialize(topic); err == nil || !strings.Contains(err.Error(), c.want) || failure.IsUnavailable(err) {
			t.Errorf("%s: %v", c.want, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
