package forwardertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

var writeCases = []Case{
	{Name: "a rolled back transaction publishes nothing", Run: rollback},
	{Name: "a batch of 22000 messages arrives whole and in order per key", Run: bigBatch},
	{Name: "zero messages are no statement", Run: noMessages},
	{Name: "every byte arrives as it was given", Run: roundTrip},
	{Name: "a message that cannot be stored names its field and writes nothing", Run: invalid},
	{Name: "the trace context of the caller travels with the message", Run: traceContext},
	{Name: "a Watermill publisher over the transaction commits with it", Run: txPublisher},
}

func rollback(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	must(tb, b.Publish(b.ctx, tx, "orders", keyed("gone", 0)))
	must(tb, tx.Rollback())
	b.put("orders", keyed("kept", 0))
	b.drained()
	for _, d := range broker.deliveries() {
		if d.key != "kept" {
			tb.Errorf("message %s was published by a transaction that rolled back", d.msg.UUID)
		}
	}
	if broker.count() != 1 {
		tb.Errorf("%d messages delivered, want 1", broker.count())
	}
}

func bigBatch(tb testing.TB, h Harness) {
	b := open(tb, h)
	keys, each := 100, 220
	if h.Slow {
		each = 22
		tb.Log("a tenth of the messages, for the sake of a slow database")
	}
	msgs := make([]*message.Message, 0, keys*each)
	for n := range each {
		for k := range keys {
			msgs = append(msgs, keyed(fmt.Sprintf("k%d", k), n))
		}
	}
	b.put("orders", msgs...)
	if n := b.undelivered(); n != keys*each {
		tb.Fatalf("%d rows stored, want %d", n, keys*each)
	}
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.drained()
	if n := broker.count(); n != keys*each {
		tb.Errorf("%d messages delivered, want %d", n, keys*each)
	}
	inOrder(tb, broker.deliveries(), keys, each)
}

func noMessages(tb testing.TB, h Harness) {
	b := open(tb, h)
	must(tb, b.Publish(b.ctx, failingExecutor{}, "orders"))
}

func roundTrip(tb testing.TB, h Harness) {
	b := open(tb, h)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	odd := message.Metadata{
		"": "empty name", "empty": "", "html": `<a href="x">&</a>`, "nul": "a\x00b", "line": "a\r\nb",
		"unicode": "ключ 鍵 \u2028 🔑", "quote": `"\`, header.Key: "k/Ü",
	}
	given := []*message.Message{
		{UUID: "nil payload", Metadata: message.Metadata{}},
		message.NewMessage("empty payload", []byte{}),
		message.NewMessage("all bytes", all),
		message.NewMessage("large", bytes.Repeat([]byte{0, 0xff, '\''}, 300_000)),
		{UUID: "nil metadata", Payload: []byte("x")},
		{UUID: "odd metadata", Payload: []byte("{}"), Metadata: odd},
		message.NewMessage(strings.Repeat("u", 255), []byte("long uuid")),
	}
	want := map[string]*message.Message{}
	for _, m := range given {
		want[m.UUID] = m
	}
	unnamed := message.NewMessage("", []byte("no uuid"))
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.put("orders.placed", append(given, unnamed)...)
	b.drained()
	got := broker.deliveries()
	if len(got) != len(given)+1 {
		tb.Fatalf("%d messages delivered, want %d", len(got), len(given)+1)
	}
	if unnamed.UUID != "" {
		tb.Error("Publish changed the message that it was given")
	}
	for _, d := range got {
		m := want[d.msg.UUID]
		if m == nil {
			if string(d.msg.Payload) != "no uuid" || len(d.msg.UUID) != 36 {
				tb.Errorf("unknown message %q", d.msg.UUID)
			}
			continue
		}
		if !bytes.Equal(d.msg.Payload, m.Payload) || (d.msg.Payload == nil) != (m.Payload == nil) {
			tb.Errorf("%s: the payload changed (%d bytes, nil: %v)", m.UUID, len(d.msg.Payload), d.msg.Payload == nil)
		}
		if d.msg.Metadata == nil || !maps.Equal(d.msg.Metadata, m.Metadata) {
			tb.Errorf("%s: the metadata changed from %q to %q", m.UUID, m.Metadata, d.msg.Metadata)
		}
		if d.topic != "orders.placed" {
			tb.Errorf("%s: topic %q", m.UUID, d.topic)
		}
	}
}

func invalid(tb testing.TB, h Harness) {
	b := openWith(tb, h, forwarder.Config{MaxMessageBytes: 1000})
	with := func(k, v string) *message.Message {
		m := message.NewMessage("id", nil)
		m.Metadata.Set(k, v)
		return m
	}
	for _, c := range []struct {
		name, topic, field string
		msg                *message.Message
	}{
		{"empty topic", "", "topic", with("a", "b")},
		{"dots", "..", "topic", with("a", "b")},
		{"space in topic", "a b", "topic", with("a", "b")},
		{"quote in topic", `a";drop--`, "topic", with("a", "b")},
		{"wildcard topic", "a.*", "topic", with("a", "b")},
		{"topic of 250 bytes", strings.Repeat("t", 250), "topic", with("a", "b")},
		{"nil message", "t", "message", nil},
		{"uuid of 256 bytes", "t", "uuid", message.NewMessage(strings.Repeat("u", 256), nil)},
		{"uuid with NUL", "t", "uuid", message.NewMessage("a\x00", nil)},
		{"uuid no UTF-8", "t", "uuid", message.NewMessage("\xff", nil)},
		{"key with NUL", "t", "key", with(header.Key, "a\x00")},
		{"key of 1025 bytes", "t", "key", with(header.Key, strings.Repeat("k", 1025))},
		{"metadata value no UTF-8", "t", "metadata", with("a", "\xff")},
		{"metadata name no UTF-8", "t", "metadata", with("\xff", "a")},
		{"one byte too large", "t", "message", message.NewMessage("id", make([]byte, 999))},
	} {
		tx, err := b.db.BeginTx(b.ctx, nil)
		must(tb, err)
		err = b.Publish(b.ctx, tx, c.topic, message.NewMessage("good", nil), c.msg)
		var m *forwarder.MessageError
		if !errors.As(err, &m) || !errors.Is(err, forwarder.ErrInvalidMessage) {
			tb.Errorf("%s: got %v, want a MessageError", c.name, err)
		} else if m.Field != c.field {
			tb.Errorf("%s: the error names %q, want %q: %v", c.name, m.Field, c.field, err)
		}
		if !failure.IsPermanent(err) {
			tb.Errorf("%s: the error is not permanent", c.name)
		}
		must(tb, tx.Commit())
	}
	if n := b.undelivered(); n != 0 {
		tb.Errorf("%d rows were written along with an invalid message", n)
	}
	b.put("t", message.NewMessage("id", make([]byte, 998))) // and "{}"
}

func traceContext(tb testing.TB, h Harness) {
	b := open(tb, h)
	state, err := trace.ParseTraceState("vendor=value")
	must(tb, err)
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3, 4}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
	const parent = "00-01020000000000000000000000000000-0304000000000000-01"
	viaCall, viaMessage, own := keyed("call", 0), keyed("message", 0), keyed("own", 0)
	viaMessage.SetContext(ctx)
	own.Metadata.Set(header.TraceParent, "00-ff000000000000000000000000000000-ff00000000000000-01")
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	must(tb, b.Publish(ctx, tx, "orders", viaCall, own))
	must(tb, b.Publish(b.ctx, tx, "orders", viaMessage))
	must(tb, tx.Commit())
	broker := &fakeBroker{}
	b.relay(newBatched(broker), quick())
	b.drained()
	for _, d := range broker.deliveries() {
		want, wantState := parent, "vendor=value"
		if d.key == "own" {
			want, wantState = own.Metadata.Get(header.TraceParent), ""
		}
		if got := d.msg.Metadata.Get(header.TraceParent); got != want {
			tb.Errorf("%s: traceparent %q, want %q", d.key, got, want)
		}
		if got := d.msg.Metadata.Get(header.TraceState); got != wantState {
			tb.Errorf("%s: tracestate %q, want %q", d.key, got, wantState)
		}
	}
	if viaCall.Metadata.Get(header.TraceParent) != "" {
		tb.Error("Publish changed the message that it was given")
	}
}

func txPublisher(tb testing.TB, h Harness) {
	b := open(tb, h)
	for _, commit := range []bool{false, true} {
		tx, err := b.db.BeginTx(b.ctx, nil)
		must(tb, err)
		pub := b.Publisher(b.ctx, tx)
		must(tb, pub.Publish("orders", keyed("a", 0), keyed("a", 1)))
		must(tb, pub.Close())
		if commit {
			must(tb, tx.Commit())
		} else {
			must(tb, tx.Rollback())
		}
	}
	if n := b.undelivered(); n != 2 {
		tb.Errorf("%d rows, want the 2 of the transaction that committed", n)
	}
}
