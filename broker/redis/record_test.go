package redis

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

func entryOf(fields ...string) *entry {
	e := &entry{id: "5-1", topic: "t"}
	for i := 0; i+1 < len(fields); i += 2 {
		e.set([]byte(fields[i]), []byte(fields[i+1]))
	}
	e.read()
	return e
}

// samples are metadata of every size that msgpack writes differently.
func samples() []message.Metadata {
	many := message.Metadata{}
	for i := range 70_000 {
		many[strings.Repeat("k", i%7)+string(rune(0x100+i%50_000))+string(rune('a'+i%26))] = "v"
	}
	return []message.Metadata{
		{}, {"a": ""}, {"a": "1", "b": strings.Repeat("x", 31), "c": strings.Repeat("x", 32)},
		{"long": strings.Repeat("x", 255), "longer": strings.Repeat("x", 256)},
		{"ü": strings.Repeat("✓", 30_000)}, {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8",
			"i": "9", "j": "10", "k": "11", "l": "12", "m": "13", "n": "14", "o": "15", "p": "16"},
		many,
	}
}

func TestTheStockMarshallerReadsWhatWeWrite(t *testing.T) {
	for _, metadata := range samples() {
		packed := appendMetadata(nil, metadata)
		if len(packed) != metadataSize(metadata) {
			t.Errorf("%d entries: %d bytes, said %d", len(metadata), len(packed), metadataSize(metadata))
		}
		msg, err := wmredis.DefaultMarshallerUnmarshaller{}.Unmarshal(map[string]any{
			fieldUUID: "id", fieldMetadata: string(packed), fieldPayload: "p",
		})
		if err != nil || msg.UUID != "id" || string(msg.Payload) != "p" || !maps.Equal(msg.Metadata, metadata) {
			t.Errorf("%d entries: %v, %d came through", len(metadata), err, len(msg.Metadata))
		}
	}
}

func TestWeReadWhatTheStockMarshallerWrites(t *testing.T) {
	for _, metadata := range samples() {
		sent := message.NewMessage("id", []byte("p"))
		sent.Metadata = metadata
		values, err := wmredis.DefaultMarshallerUnmarshaller{}.Marshal("t", sent)
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for name, value := range values {
			switch v := value.(type) {
			case string:
				fields = append(fields, name, v)
			case []byte:
				fields = append(fields, name, string(v))
			}
		}
		msg := entryOf(fields...).message()
		if msg.UUID != "id" || string(msg.Payload) != "p" || !maps.Equal(msg.Metadata, metadata) {
			t.Errorf("%d entries: %d came through, UUID %q", len(metadata), len(msg.Metadata), msg.UUID)
		}
	}
}

func TestWhatCannotBeReadIsQuarantinedAndKept(t *testing.T) {
	for what, c := range map[string]struct {
		fields  []string
		payload string
	}{
		"metadata that is no msgpack":    {[]string{fieldUUID, "u", fieldMetadata, "{}", fieldPayload, "p"}, "p"},
		"metadata that is cut off":       {[]string{fieldUUID, "u", fieldMetadata, "\x82\xa1a\xa1b\xa1", fieldPayload, "p"}, "p"},
		"metadata with more behind":      {[]string{fieldUUID, "u", fieldMetadata, "\x80x", fieldPayload, "p"}, "p"},
		"a huge number of entries":       {[]string{fieldUUID, "u", fieldMetadata, "\xdf\xff\xff\xff\xff", fieldPayload, "p"}, "p"},
		"a number as a value":            {[]string{fieldUUID, "u", fieldMetadata, "\x81\xa1a\x05", fieldPayload, "p"}, "p"},
		"a UUID that is not UTF-8":       {[]string{fieldUUID, "\xff", fieldPayload, "p"}, "p"},
		"a field twice":                  {[]string{fieldUUID, "u", fieldPayload, "p", fieldPayload, "q"}, "p"},
		"an extra field that is no text": {[]string{fieldUUID, "u", fieldPayload, "p", "x", "\xff"}, "p"},
		"none of Watermill's fields":     {[]string{"name", "Bob", "age", "7"}, "\xdf\x00\x00\x00\x02\xa4name\xa3Bob\xa3age\xa17"},
		"no field at all":                {nil, "\xdf\x00\x00\x00\x00"},
	} {
		e := entryOf(c.fields...)
		for range 2 {
			msg := e.message()
			if msg.Metadata.Get(header.Quarantine) == "" || msg.UUID == "" || string(msg.Payload) != c.payload {
				t.Errorf("%s: reason %q, UUID %q, payload %q", what, msg.Metadata.Get(header.Quarantine), msg.UUID, msg.Payload)
			}
		}
	}
}

func TestAForeignEntryIsReadAsFarAsItGoes(t *testing.T) {
	msg := entryOf(fieldPayload, "p", "type", "order").message()
	if msg.Metadata.Get("type") != "order" || msg.Metadata.Get(header.Quarantine) != "" || string(msg.Payload) != "p" {
		t.Errorf("%v %q", msg.Metadata, msg.Payload)
	}
	if again := entryOf(fieldPayload, "p").message(); again.UUID != msg.UUID || len(msg.UUID) != 36 {
		t.Errorf("UUIDs %q and %q", msg.UUID, again.UUID)
	}
}

func TestADeliveryCannotSpoilTheNext(t *testing.T) {
	e := entryOf(fieldUUID, "u", fieldMetadata, string(appendMetadata(nil, message.Metadata{"a": "1"})), fieldPayload, "payload")
	for range 3 {
		msg := e.message()
		if string(msg.Payload) != "payload" || msg.Metadata.Get("a") != "1" || len(msg.Metadata) != 1 {
			t.Fatalf("%q %v", msg.Payload, msg.Metadata)
		}
		copy(msg.Payload, "spoiled")
		msg.Metadata.Set("a", "spoiled")
		msg.Metadata.Set("b", "2")
	}
}

func FuzzAnyReplyIsReadWithoutPanic(f *testing.F) {
	f.Add([]byte("*1\r\n*2\r\n$1\r\nt\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$7\r\npayload\r\n$1\r\nx\r\n*2\r\n$3\r\n1-2\r\n*-1\r\n"))
	f.Add([]byte("-NOGROUP no\r\n"))
	f.Add([]byte("*1\r\n*-1\r\n"))
	f.Add([]byte("*2147483647\r\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		(&reply{rest: b}).stream("t")
		_, _ = readMetadata(b)
	})
}

func TestAReplyCutOffAnywhereIsAnError(t *testing.T) {
	whole := "*1\r\n*2\r\n$1\r\nt\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$7\r\npayload\r\n$1\r\nx\r\n*2\r\n$3\r\n1-2\r\n*-1\r\n"
	r := &reply{rest: []byte(whole)}
	entries, removed := r.stream("t")
	if r.err != nil || len(entries) != 1 || len(removed) != 1 || r.last != "1-2" || entries[0].id != "1-1" {
		t.Fatalf("%v %v %v", r.err, entries, removed)
	}
	for n := range len(whole) {
		r := &reply{rest: []byte(whole[:n])}
		if entries, _ := r.stream("t"); r.err == nil {
			t.Errorf("%d bytes: %d entries and no error", n, len(entries))
		}
	}
}

// BenchmarkBatch makes the commands for 1000 messages.
func BenchmarkBatch(b *testing.B) {
	d := &driver{options: options{maxBytes: 1_000_000}}
	batch := make([]broker.Outgoing, 1000)
	for i := range batch {
		msg := message.NewMessage("0190a6c2-7e5b-7cc3-9a52-0123456789ab", make([]byte, 256))
		msg.Metadata.Set(header.Key, "order-4711")
		batch[i] = broker.Outgoing{Topic: "t", Message: msg}
	}
	results := make([]error, len(batch))
	b.ReportAllocs()
	for b.Loop() {
		d.rounds(batch, results)
	}
}

// BenchmarkReply reads 200 entries and makes their messages.
func BenchmarkReply(b *testing.B) {
	metadata := appendMetadata(nil, message.Metadata{header.Key: "order-4711"})
	var raw []byte
	bulk := func(s string) { raw = fmt.Appendf(raw, "$%d\r\n%s\r\n", len(s), s) }
	raw = append(raw, "*1\r\n*2\r\n$1\r\nt\r\n*200\r\n"...)
	for range 200 {
		raw = append(raw, "*2\r\n"...)
		bulk("1763712345678-12")
		raw = append(raw, "*6\r\n"...)
		for _, s := range []string{fieldUUID, "0190a6c2-7e5b-7cc3-9a52-0123456789ab", fieldMetadata, string(metadata), fieldPayload, strings.Repeat("x", 256)} {
			bulk(s)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r := &reply{rest: raw}
		entries, _ := r.stream("t")
		for _, e := range entries {
			_ = e.message()
		}
		if len(entries) != 200 || r.err != nil {
			b.Fatal(len(entries), r.err)
		}
	}
}

func BenchmarkMetadata(b *testing.B) {
	metadata := message.Metadata{header.Key: "customer-4711", header.IdempotencyKey: "order-4711", header.TraceParent: strings.Repeat("a", 55)}
	packed := appendMetadata(nil, metadata)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 256)
		for b.Loop() {
			buf = appendMetadata(buf[:0], metadata)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = readMetadata(packed)
		}
	})
	b.Run("stock write and read", func(b *testing.B) {
		b.ReportAllocs()
		msg := message.NewMessage("id", nil)
		msg.Metadata = metadata
		for b.Loop() {
			_, _ = wmredis.DefaultMarshallerUnmarshaller{}.Marshal("t", msg)
			_, _ = wmredis.DefaultMarshallerUnmarshaller{}.Unmarshal(map[string]any{fieldUUID: "id", fieldMetadata: string(packed), fieldPayload: ""})
		}
	})
}
