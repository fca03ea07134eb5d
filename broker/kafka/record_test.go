package kafka

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// received is what the other side gets of a record that was sent.
func received(t *testing.T, sent *sarama.ProducerMessage) *sarama.ConsumerMessage {
	t.Helper()
	got := &sarama.ConsumerMessage{Topic: sent.Topic, Timestamp: time.UnixMilli(1)}
	if sent.Key != nil {
		got.Key, _ = sent.Key.Encode()
	}
	got.Value, _ = sent.Value.Encode()
	for _, h := range sent.Headers {
		got.Headers = append(got.Headers, &sarama.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return got
}

func marshalOne(topic string, msg *message.Message) (item, error) {
	return newMarshaler([]broker.Outgoing{{Topic: topic, Message: msg}}, 1000).marshal(0)
}

func TestPlainWatermillKafkaReadsOursAndWeReadTheirs(t *testing.T) {
	msg := message.NewMessage("id", []byte("payload"))
	msg.Metadata.Set("a", "1")
	msg.Metadata.Set(header.Key, "k")
	ours, err := marshalOne("topic", msg)
	if err != nil {
		t.Fatal(err)
	}
	if string(ours.record.Key) != "k" {
		t.Errorf("the record's key is %q", ours.record.Key)
	}
	theirs, err := wmkafka.DefaultMarshaler{}.Unmarshal(&sarama.ConsumerMessage{Value: ours.record.Value, Headers: ours.record.Headers})
	if err != nil {
		t.Fatal(err)
	}
	if theirs.UUID != "id" || string(theirs.Payload) != "payload" || theirs.Metadata.Get("a") != "1" || len(theirs.Metadata) != 1 {
		t.Errorf("they read %q %q %v", theirs.UUID, theirs.Payload, theirs.Metadata)
	}
	keyed := wmkafka.NewWithPartitioningMarshaler(func(string, *message.Message) (string, error) { return "k", nil })
	record, err := keyed.Marshal("topic", theirs)
	if err != nil {
		t.Fatal(err)
	}
	back := read(received(t, record))
	if !back.Equals(msg) {
		t.Errorf("we read %q %q %v", back.UUID, back.Payload, back.Metadata)
	}
}

func TestImpossibleMessagesAreRefusedBeforeSending(t *testing.T) {
	reserved := message.NewMessage("id", nil)
	reserved.Metadata.Set(wmkafka.UUIDHeaderKey, "x")
	for what, err := range map[string]error{
		"reserved metadata": second(marshalOne("t", reserved)),
		"too large":         second(marshalOne("t", message.NewMessage("id", make([]byte, 1000)))),
		"a slash":           checkTopic("a/b"),
		"two dots":          checkTopic(".."),
		"empty":             checkTopic(""),
		"too long":          checkTopic(strings.Repeat("a", 250)),
		"a space":           checkTopic("a b"),
		"an umlaut":         checkTopic("ä"),
	} {
		if err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	if err := checkTopic(strings.Repeat("a", 249)); err != nil {
		t.Error(err)
	}
}

func second(_ item, err error) error { return err }

func read(record *sarama.ConsumerMessage) *message.Message {
	return unmarshal(record, string(record.Key))
}

func TestAForeignUUIDDependsOnTheRecordAlone(t *testing.T) {
	base := sarama.ConsumerMessage{Topic: "t", Partition: 1, Offset: 2, Timestamp: time.UnixMilli(3)}
	id := read(&base).UUID
	if again := read(&base).UUID; again != id || len(id) != 36 {
		t.Errorf("%q, then %q", id, again)
	}
	for what, change := range map[string]func(*sarama.ConsumerMessage){
		"topic":     func(m *sarama.ConsumerMessage) { m.Topic = "u" },
		"partition": func(m *sarama.ConsumerMessage) { m.Partition++ },
		"offset":    func(m *sarama.ConsumerMessage) { m.Offset++ },
		"timestamp": func(m *sarama.ConsumerMessage) { m.Timestamp = time.UnixMilli(4) },
	} {
		other := base
		change(&other)
		if read(&other).UUID == id {
			t.Errorf("another %s has the same UUID", what)
		}
	}
}

func TestAKeyIsPlacedWhereJavaPlacesIt(t *testing.T) {
	// From Kafka's own UtilsTest.testMurmur2.
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestAKeyIsPlacedWhereSaramaPlacesItIfAskedTo(t *testing.T) {
	theirs := sarama.NewHashPartitioner("t")
	p := &producer{hash: saramaHash}
	for i := range 1000 {
		key := strings.Repeat("k", i%7) + strconv.Itoa(i)
		want, err := theirs.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(key)}, 12)
		if got := p.partition([]byte(key), 0, 12); err != nil || got != want {
			t.Fatalf("key %q goes to %d, want %d (%v)", key, got, want, err)
		}
	}
}

// The records of one call share their memory; none may reach into another's.
func TestTheRecordsOfABatchAreWhatPlainWatermillKafkaWouldSend(t *testing.T) {
	var msgs []broker.Outgoing
	for i := range 50 {
		msg := message.NewMessage("id-"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
		for h := range i % 5 {
			msg.Metadata.Set("name-"+strconv.Itoa(h), strings.Repeat("v", i+h))
		}
		msgs = append(msgs, broker.Outgoing{Topic: "t", Message: msg})
	}
	m := newMarshaler(msgs, 10_000)
	var items []item
	for i := range msgs {
		it, err := m.marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	for i, it := range items {
		theirs, err := wmkafka.DefaultMarshaler{}.Marshal("t", msgs[i].Message)
		if err != nil {
			t.Fatal(err)
		}
		want := received(t, theirs)
		if got := headers(it.record.Headers); !maps.Equal(got, headers(want.Headers)) || string(it.record.Value) != string(want.Value) || it.record.Key != nil {
			t.Errorf("record %d: %v %q, want %v %q", i, got, it.record.Value, headers(want.Headers), want.Value)
		}
		if limit := theirs.ByteSize(2); it.size != limit {
			t.Errorf("record %d: %d bytes, want %d", i, it.size, limit)
		}
	}
}

func headers(list []*sarama.RecordHeader) map[string]string {
	out := map[string]string{}
	for _, h := range list {
		out[string(h.Key)] = string(h.Value)
	}
	return out
}
