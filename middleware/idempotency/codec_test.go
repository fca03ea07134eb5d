package idempotency

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

func sample() []*message.Message {
	full := message.NewMessage("uuid", message.Payload("\x00\xffpayload"))
	full.Metadata = message.Metadata{"a": "1", "": "", "é": strings.Repeat("x", 300)}
	bare := message.NewMessage("", nil)
	bare.Metadata = nil
	return []*message.Message{full, bare, message.NewMessage("empty", message.Payload{})}
}

func TestOutputsComeBackAsTheyWere(t *testing.T) {
	want := sample()
	b, err := encodeMessages(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMessages(b)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d messages, error %v", len(got), err)
	}
	for i := range want {
		if got[i].UUID != want[i].UUID || !reflect.DeepEqual(got[i].Payload, want[i].Payload) || !reflect.DeepEqual(got[i].Metadata, want[i].Metadata) {
			t.Errorf("message %d: %#v, want %#v", i, got[i], want[i])
		}
	}
	if b, err := encodeMessages(nil); b != nil || err != nil {
		t.Errorf("no messages are %v, %v", b, err)
	}
	again, _ := encodeMessages(want)
	if string(again) != string(b) {
		t.Error("the same messages have two encodings")
	}
}

func TestDamagedOutputsAreAnErrorAndNeverAPanic(t *testing.T) {
	b, err := encodeMessages(sample())
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(b); i++ {
		if _, err := decodeMessages(b[:i]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for all", i, len(b))
		}
	}
	if _, err := decodeMessages(append(b[:len(b):len(b)], 0)); err == nil {
		t.Error("a byte too many was taken")
	}
	if _, err := decodeMessages([]byte{codecVersion, 0xff, 0xff, 0xff, 0xff, 0x0f}); err == nil {
		t.Error("a huge number was believed")
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := encodeMessages(sample())
	f.Add(b)
	f.Add([]byte{codecVersion, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		msgs, err := decodeMessages(b)
		if err != nil {
			return
		}
		again, err := encodeMessages(msgs)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeMessages(again); err != nil || len(back) != len(msgs) {
			t.Fatalf("%d messages became %d, %v", len(msgs), len(back), err)
		}
	})
}
