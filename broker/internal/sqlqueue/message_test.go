package sqlqueue

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

func TestMetadataIsJSONAndComesBackAsItWas(t *testing.T) {
	for _, metadata := range []message.Metadata{
		nil, {}, {"a": "1"}, {"a": "", "": "b"}, {"quote\"": "back\\slash", "line": "a\r\n\tb\x00\x1f"},
		{"ü": "✓ \u2028 \U0001f600", "Case": "1", "case": "2"}, {"{\"x\":": "}"}, {"del": "\x7f"},
	} {
		b, err := appendHeaders(metadata)
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]string
		if err := json.Unmarshal(b, &plain); err != nil || !maps.Equal(plain, metadata) && len(metadata) > 0 {
			t.Errorf("%q is not the JSON of %q: %v", b, metadata, err)
		}
		got, problem := readHeaders(b)
		if problem != "" || !maps.Equal(got, metadata) {
			t.Errorf("%q came back as %q (%s)", metadata, got, problem)
		}
	}
}

func TestForeignHeadersAreReadOrTheProblemIsTold(t *testing.T) {
	for raw, want := range map[string]string{
		`{ "a" : "1" }`: "", "{\n\"a\":\"\\u00fc\"}\n": "",
		`{"a":"1","a":"2"}`: twice, `{"a":"\n","a":"2"}`: twice, `{"a": "1", "a":"2"}`: twice,
		`{"a":1}`: "JSON object", `{"a":{}}`: "JSON object", `[]`: "JSON object", ``: "JSON object", `{`: "JSON object",
		`{"a":"1"`: "JSON object", `{"a":"1",}`: "JSON object", `{}{}`: "JSON object", `{}}`: "JSON object", `{"a":"1"}x`: "JSON object", "{\"a\":\"\x01\"}": "JSON object",
		"{\"a\":\"\xff\"}": "UTF-8", `null`: "JSON object", `{"a":null}`: "JSON object",
	} {
		got, problem := readHeaders([]byte(raw))
		if want == "" && problem != "" || !strings.Contains(problem, want) || got == nil {
			t.Errorf("%q: problem %q, want %q, metadata %v", raw, problem, want, got)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add([]byte(`{"a":"1"}`))
	f.Add([]byte(`{"a":"1","a":"2"}`))
	f.Add([]byte(`{"a":"\u00fc", "b" : "\\"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, problem := readHeaders(raw)
		var want map[string]string
		err := json.Unmarshal(raw, &want)
		if problem == "" && (err != nil || !maps.Equal(got, want)) {
			t.Errorf("%q: read %q, encoding/json reads %q (%v)", raw, got, want, err)
		}
	})
}

func TestWhatCannotBeStoredIsRefusedForGood(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for what, change := range map[string]func(*message.Message){
		"has 1025 bytes":               func(m *message.Message) { m.Metadata.Set(header.Key, long) },
		"key is not UTF-8":             func(m *message.Message) { m.Metadata.Set(header.Key, "\xff") },
		"UUID is not UTF-8 or has":     func(m *message.Message) { m.UUID = "a\x00" },
		"UUID has 1025":                func(m *message.Message) { m.UUID = long },
		`metadata "a" is not UTF-8`:    func(m *message.Message) { m.Metadata.Set("a", "\xff") },
		"a metadata name is not UTF-8": func(m *message.Message) { m.Metadata.Set("\xff", "a") },
		"more than max_message_bytes":  func(m *message.Message) { m.Payload = make([]byte, 2000) },
	} {
		msg := message.NewMessage("1", nil)
		change(msg)
		var r row
		if err := encode(&r, msg, 2000); !failure.IsPermanent(err) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAKeyKeepsItsShardForEver(t *testing.T) {
	// The values lie in tables: another function would tear keys apart.
	for key, want := range map[string]int16{"": 18, "customer 7": 4, "k1": 1} {
		if shard, _ := place(key, "uuid"); shard != want {
			t.Errorf("shard of %q is %d, was %d", key, shard, want)
		}
	}
	if _, hash := place("", "uuid"); hash != 0 {
		t.Error("a message without a key has a key's hash")
	}
}

func TestAForeignMessageHasTheSameUUIDEachTime(t *testing.T) {
	one, other := &item{id: 1, stored: stored{createdAt: 5, headers: []byte("{}")}}, &item{id: 2, stored: stored{createdAt: 5, headers: []byte("{}")}}
	if a, b := one.message().UUID, one.message().UUID; a == "" || a != b || a == other.message().UUID {
		t.Errorf("%q, %q, another has %q", a, b, other.message().UUID)
	}
}

func TestBatchesAreSplitByNumberAndSize(t *testing.T) {
	rows := make([]row, 10)
	for i := range rows {
		rows[i].payload = make([]byte, 36) // 100 with the overhead
	}
	for _, c := range []struct{ number, size, want int }{{3, 1 << 20, 3}, {100, 1 << 20, 10}, {100, 500, 5}, {100, 1, 1}} {
		if got := fits(rows, c.number, c.size); got != c.want {
			t.Errorf("of %d rows and %d bytes %d fit, want %d", c.number, c.size, got, c.want)
		}
	}
}

func typical() *message.Message {
	msg := message.NewMessage("0191f2a4-7c1e-7000-8000-000000000000", bytes.Repeat([]byte("x"), 256))
	msg.Metadata = message.Metadata{header.Key: "customer 7", "type": "order.placed", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	return msg
}

func BenchmarkEncode(b *testing.B) {
	msg := typical()
	b.ReportAllocs()
	for b.Loop() {
		var r row
		if err := encode(&r, msg, 1_000_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var r row
	if err := encode(&r, typical(), 1_000_000); err != nil {
		b.Fatal(err)
	}
	i := &item{id: 1, stored: stored{key: string(r.key), uuid: r.uuid, payload: r.payload, headers: r.headers}}
	b.ReportAllocs()
	for b.Loop() {
		_ = i.message()
	}
}
