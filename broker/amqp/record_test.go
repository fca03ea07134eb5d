package amqp

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/internal/header"
)

func TestMetadataUUIDAndPayloadArriveAsTheyWereSent(t *testing.T) {
	msg := message.NewMessage("id", []byte("payload"))
	msg.Metadata = message.Metadata{header.Key: "k", "a": "1", "empty": ""}
	p, size, err := marshal(msg, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if p.DeliveryMode != amqp091.Persistent {
		t.Error("the message is not persistent")
	}
	if want := len("_watermill_message_uuid"+"id"+header.Key+"k"+"a"+"1"+"empty") + 4*6; size != want {
		t.Errorf("headers of %d bytes, want %d", size, want)
	}
	d := &amqp091.Delivery{Headers: p.Headers, Body: p.Body}
	got := unmarshal(d)
	if got.UUID != "id" || string(got.Payload) != "payload" || !maps.Equal(got.Metadata, msg.Metadata) || keyOf(d) != "k" {
		t.Errorf("%q %q %v", got.UUID, got.Payload, got.Metadata)
	}
}

func TestWhatCanNeverBeSentIsRefused(t *testing.T) {
	long := message.NewMessage("id", nil)
	long.Metadata = message.Metadata{strings.Repeat("x", 256): ""}
	for what, msg := range map[string]*message.Message{
		"a metadata key that the client would cut off": long,
		"a payload over the limit":                     message.NewMessage("id", make([]byte, 1000)),
	} {
		if _, _, err := marshal(msg, 1000); err == nil {
			t.Errorf("%s is sent", what)
		}
	}
}

func TestHeadersOfOtherSendersBecomeText(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	got := unmarshal(&amqp091.Delivery{MessageId: "theirs", Headers: amqp091.Table{
		"int": int32(-7), "long": int64(8), "bool": true, "float": 1.5, "bytes": []byte("b"), "at": at,
		"x-delivery-count": int64(3), "x-death": []any{amqp091.Table{"count": int64(1)}},
	}})
	want := message.Metadata{"int": "-7", "long": "8", "bool": "true", "float": "1.5", "bytes": "b", "at": "2030-01-02T03:04:05Z"}
	if got.UUID != "theirs" || !maps.Equal(got.Metadata, want) {
		t.Errorf("%q %v", got.UUID, got.Metadata)
	}
}

func TestWhatCannotBeReadIsQuarantinedAndTheRestIsThere(t *testing.T) {
	for what, headers := range map[string]amqp091.Table{
		"a list":            {"h": []any{"1", "2"}, "fine": "1"},
		"a table":           {"h": amqp091.Table{"a": "b"}, "fine": "1"},
		"text not in UTF-8": {"h": "\xff", "fine": "1"},
		"a name like that":  {"\xff": "1", "fine": "1"},
		"nothing":           {"h": nil, "fine": "1"},
		"a UUID of a kind":  {uuidHeader: []any{"1"}, "fine": "1"},
		"a key like that":   {header.Key: "\xff", "fine": "1"},
	} {
		d := &amqp091.Delivery{Headers: headers, Body: []byte("raw")}
		got, again := unmarshal(d), unmarshal(d)
		if got.Metadata[header.Quarantine] == "" || got.Metadata["fine"] != "1" || len(got.Metadata) != 2 || string(got.Payload) != "raw" {
			t.Errorf("%s: %v", what, got.Metadata)
		}
		if got.UUID == "" || got.UUID != again.UUID || got.Metadata[header.Quarantine] != again.Metadata[header.Quarantine] {
			t.Errorf("%s: differs from one reading to the next", what)
		}
		if keyOf(d) != "" {
			t.Errorf("%s: key %q", what, keyOf(d))
		}
	}
}

func TestAForeignUUIDIsThatOfTheContent(t *testing.T) {
	base := amqp091.Delivery{Exchange: "t", Headers: amqp091.Table{"a": "1", "b": "2"}, Body: []byte("x")}
	same := base
	same.Headers = amqp091.Table{"b": "2", "a": "1", "x-delivery-count": int64(1)}
	same.Redelivered, same.DeliveryTag, same.ConsumerTag = true, 7, "other"
	if a, b := unmarshal(&base).UUID, unmarshal(&same).UUID; a != b || len(a) != 36 {
		t.Errorf("a redelivery has the UUID %q after %q", b, a)
	}
	for what, change := range map[string]func(*amqp091.Delivery){
		"payload":   func(d *amqp091.Delivery) { d.Body = []byte("y") },
		"header":    func(d *amqp091.Delivery) { d.Headers = amqp091.Table{"a": "12", "b": ""} },
		"topic":     func(d *amqp091.Delivery) { d.Exchange = "u" },
		"timestamp": func(d *amqp091.Delivery) { d.Timestamp = time.Unix(1, 0) },
	} {
		other := base
		change(&other)
		if unmarshal(&base).UUID == unmarshal(&other).UUID {
			t.Errorf("another %s has the same UUID", what)
		}
	}
}

func TestResultsAreForEachAndNoneSucceedsBehindAFailureOfItsKey(t *testing.T) {
	items := []item{
		{topic: "t", key: "a", confirmed: true},
		{topic: "t", key: "a", err: errNacked},
		{topic: "t", key: "b", confirmed: true},
		{topic: "t", key: "a", confirmed: true}, // stored, and behind a failure
		{topic: "u", key: "a", confirmed: true},
		{topic: "t", err: errNacked},
		{topic: "t", confirmed: true}, // without a key there is no order
	}
	got := fmt.Sprint(results(items))
	want := fmt.Sprint([]error{nil, errNacked, nil, errNotSent, nil, errNacked, nil})
	if got != want {
		t.Errorf("results %s, want %s", got, want)
	}
	if errs := results(items[:1]); errs != nil {
		t.Errorf("all confirmed: %v", errs)
	}
}

// show tells items by their headers' size, which the tests use as a number.
func show(items []*item) string {
	var s strings.Builder
	for _, it := range items {
		fmt.Fprint(&s, it.headers)
	}
	return s.String()
}

func TestAWaveHasOneMessageOfAKey(t *testing.T) {
	var items []*item
	for _, key := range []string{"a", "b", "a", "", "", "b", "a"} {
		items = append(items, &item{topic: "t", key: key, headers: len(items)})
	}
	var got []string
	for rest := items; len(rest) > 0; {
		var wave []*item
		wave, rest = nextWave(rest)
		got = append(got, show(wave))
	}
	if want := "[0134 25 6]"; fmt.Sprint(got) != want {
		t.Errorf("waves %v, want %s", got, want)
	}
}

func TestTheFirstMessageOfATopicWithoutAKnownQueueGoesAlone(t *testing.T) {
	d := newDriver(options{}, nil)
	defer d.cancel()
	d.topics["known"], d.topics["declared"] = true, false
	var items []*item
	for _, topic := range []string{"known", "declared", "declared", "new", "known", "new"} {
		items = append(items, &item{topic: topic, headers: len(items)})
	}
	probes, rest, waves := d.plan(items)
	if show(probes) != "13" || show(rest) != "0245" || waves {
		t.Errorf("probes %s, rest %s, waves %t", show(probes), show(rest), waves)
	}
	d.wary["new"] = time.Now()
	if _, _, waves := d.plan(items); !waves {
		t.Error("a topic that refused a moment ago is published without waves")
	}
	d.wary["new"] = time.Now().Add(-waryFor)
	if _, _, waves := d.plan(items); waves {
		t.Error("a topic is published in waves for ever")
	}
}

func BenchmarkMarshal(b *testing.B) {
	msg := message.NewMessage("00000000-0000-4000-8000-000000000000", make([]byte, 256))
	msg.Metadata = message.Metadata{header.Key: "customer-7", header.TraceParent: "00-aa-bb-01"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := marshal(msg, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	d := &amqp091.Delivery{Headers: amqp091.Table{uuidHeader: "00000000-0000-4000-8000-000000000000", header.Key: "customer-7", header.TraceParent: "00-aa-bb-01"}, Body: make([]byte, 256)}
	b.ReportAllocs()
	for b.Loop() {
		unmarshal(d)
	}
}
