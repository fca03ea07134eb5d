package nats

import (
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	gonats "github.com/nats-io/nats.go"

	"github.com/sluicegate/sluicegate/internal/header"
)

func sample() *message.Message {
	msg := message.NewMessage("0b6e5e12-5b1c-4b7a-9f0e-2f6a3b1c4d5e", []byte(strings.Repeat("x", 256)))
	msg.Metadata = message.Metadata{"type": "order.placed", "tenant": "acme", header.Key: "customer-7"}
	return msg
}

func TestTheFormatIsThatOfWatermillsMarshaler(t *testing.T) {
	ours, err := marshal("t", sample(), 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	stock, err := (&nats.NATSMarshaler{}).Marshal("t", sample())
	if err != nil {
		t.Fatal(err)
	}
	if ours.Subject != stock.Subject || string(ours.Data) != string(stock.Data) || !maps.EqualFunc(ours.Header, stock.Header, func(a, b []string) bool { return a[0] == b[0] }) {
		t.Errorf("ours %v, stock %v", ours.Header, stock.Header)
	}
}

func TestWhatAHeaderCannotCarryStillArrives(t *testing.T) {
	msg := message.NewMessage("line\nbreak", nil)
	want := map[string]string{
		"plain": "value", "with space": "1", "": "empty", " ": "blank", "ü": "ü", "breaks": "a\r\nb", "ends": " x ", "bad": "\xff",
		"Nats-Rollup": "all", "nats-msg-id": "1", "Status": "100", nats.WatermillUUIDHdr: "another", "colon:": "1",
	}
	msg.Metadata = maps.Clone(want)
	record, err := marshal("t", msg, 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	for name := range record.Header {
		if reserved(name) || name == "Status" {
			t.Errorf("header %s would be obeyed", name)
		}
	}
	got := unmarshal(record, position{})
	if got.UUID != msg.UUID || got.Payload != nil || !maps.Equal(got.Metadata, want) {
		t.Errorf("UUID %q, payload %v, metadata %q", got.UUID, got.Payload, got.Metadata)
	}
}

func TestAMessageTooLargeWithItsMetadataIsRefused(t *testing.T) {
	msg := sample()
	record, err := marshal("t", msg, 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	size := recordSize(record)
	if _, err := marshal("t", msg, size, false); err != nil {
		t.Errorf("its very size: %v", err)
	}
	if _, err := marshal("t", msg, size-1, false); err == nil {
		t.Error("one byte less is accepted")
	}
}

func TestDeduplicationIsOfTopicAndUUIDTogether(t *testing.T) {
	ids := map[string]bool{}
	for _, topic := range []string{"a", "b"} {
		record, err := marshal(topic, sample(), 1000, true)
		if err != nil {
			t.Fatal(err)
		}
		ids[record.Header.Get(gonats.MsgIdHdr)] = true
	}
	if len(ids) != 2 {
		t.Errorf("two topics of one stream have the ids %v", ids)
	}
}

func TestPositionsAreReadWithAndWithoutADomain(t *testing.T) {
	for _, reply := range []string{"$JS.ACK.S.c.1.17.20.1700000000000000000.3", "$JS.ACK.hub.hash.S.c.1.17.20.1700000000000000000.3.tok"} {
		p, err := readPosition(reply)
		if err != nil || p.stream != "S" || p.sequence != 17 || p.timestamp != "1700000000000000000" {
			t.Errorf("%s: %+v %v", reply, p, err)
		}
	}
	for _, reply := range []string{"", "_INBOX.a", "$JS.ACK.S.c.1.x.20.1.3", "$JS.ACK.S.c"} {
		if _, err := readPosition(reply); err == nil {
			t.Errorf("%q is a position", reply)
		}
	}
}

func TestAnswersInDoubtAreErrors(t *testing.T) {
	for data, ok := range map[string]bool{
		`{"stream":"S", "seq":17}`:                             true,
		`{"stream":"S","seq":17,"duplicate":true}`:             true,
		`{"stream":"S","seq":17,"batch":"b","count":2}`:        true,
		`{"stream":"S", "seq":17, "error":{"code":503}}`:       false,
		`{"error":{"code":400,"err_code":10054},"stream":"S"}`: false,
		`{"stream":"S", "seq":}`:                               false,
		`{"stream":"S", "seq":17`:                              false,
		`{}`:                                                   false, ``: false, `x`: false,
	} {
		if a := readAck(&gonats.Msg{Data: []byte(data)}); (a.err == nil) != ok {
			t.Errorf("%s: %v", data, a.err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	msg := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := marshal("orders", msg, 1_000_000, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	record, err := marshal("orders", sample(), 1_000_000, false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		unmarshal(record, position{})
	}
}
