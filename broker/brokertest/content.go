package brokertest

import (
	"bytes"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

const quarantine = header.Quarantine

var contentCases = []Case{
	{Name: "UUID, key, metadata and payload arrive as they were sent", Run: checkRoundTrip},
	{Name: "a nil payload stays nil and an empty one empty", Run: checkNilPayload},
	{Name: "a message with nil metadata is published and arrives with some", Run: checkNilMetadata},
	{Name: "metadata of Sluicegate's own cannot be forged", Run: checkForged},
	{Name: "publishing leaves the message as it was", Run: checkUntouched},
	{Name: "a delivery shares nothing with another one", Run: checkUnshared},
	{Name: "a foreign message has a UUID that stays the same", Needs: foreign, Run: checkForeign},
	{Name: "an unreadable message is quarantined and the next one comes", Needs: foreign, Run: checkQuarantine},
}

func foreign(h Harness) bool { return h.Foreign != nil }

func checkRoundTrip(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	sent := message.NewMessage("id-ü-1", []byte{0, 1, 0xff, '\n', 0xc3, 0x28})
	for k, v := range map[string]string{
		header.Key: "customer/ü 7", header.IdempotencyKey: "order-7", header.TraceParent: "00-aa-bb-01",
		"empty": "", "line\r\nbreak": "a\r\nb", "Case": "1", "case": "2", "emoji": "✓",
	} {
		sent.Metadata.Set(k, v)
	}
	done := r.publish(sent)
	got := c.acked(1)[0]
	r.published(done)
	if got.UUID != sent.UUID {
		t.Errorf("UUID %q, want %q", got.UUID, sent.UUID)
	}
	if !bytes.Equal(got.Payload, sent.Payload) {
		t.Errorf("payload %x, want %x", got.Payload, sent.Payload)
	}
	if len(got.Metadata) != len(sent.Metadata) {
		t.Errorf("%d metadata entries, want %d", len(got.Metadata), len(sent.Metadata))
	}
	for k, v := range sent.Metadata {
		if g, there := got.Metadata[k]; !there || g != v {
			t.Errorf("metadata %q is %q, want %q", k, g, v)
		}
	}
}

func checkNilPayload(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	none, empty := newMessage("nil", "a"), newMessage("empty", "a")
	none.Payload, empty.Payload = nil, []byte{}
	done := r.publish(none, empty)
	for range 2 {
		msg := c.acked(1)[0]
		if isNil := msg.Payload == nil; isNil != (msg.UUID == "nil") || len(msg.Payload) != 0 {
			t.Errorf("the payload of %q is %#v", msg.UUID, msg.Payload)
		}
	}
	r.published(done)
}

func checkNilMetadata(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	sent := message.NewMessage("1", []byte("x"))
	sent.Metadata = nil
	done := r.publish(sent)
	if got := c.acked(1)[0]; got.Metadata == nil {
		t.Errorf("metadata is nil: the first Set would panic")
	}
	r.published(done)
}

func checkForged(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	sent := newMessage("1", "a")
	for _, key := range []string{header.Quarantine, header.Prefix + "attempt", header.Prefix} {
		sent.Metadata.Set(key, "forged")
	}
	done := r.publish(sent)
	for key, value := range c.acked(1)[0].Metadata {
		if value == "forged" {
			t.Errorf("%q came through", key)
		}
	}
	r.published(done)
}

func checkUntouched(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	sent := newMessage("1", "a")
	sent.Metadata.Set("mine", "1")
	done := r.publish(sent)
	c.acked(1)
	r.published(done)
	if sent.UUID != "1" || string(sent.Payload) != "payload of 1" || len(sent.Metadata) != 2 || sent.Metadata.Get(header.Key) != "a" {
		t.Errorf("after publishing it has %d metadata entries and payload %q", len(sent.Metadata), sent.Payload)
	}
}

func checkUnshared(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	done := r.publish(newMessage("1", "a"))
	first := c.next()
	first.Metadata.Set("left over", "1")
	first.Metadata.Set(header.Key, "another")
	first.Nack()
	again := c.acked(1)[0]
	if again.Metadata.Get("left over") != "" || again.Metadata.Get(header.Key) != "a" {
		t.Errorf("what a failed attempt wrote into the metadata is still there")
	}
	r.published(done)
}
