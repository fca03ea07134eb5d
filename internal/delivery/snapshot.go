package delivery

import (
	"bytes"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Snapshot is a message as a layer received it. A layer inside may write to the
// metadata, and a handler that decrypts in place to the payload.
type Snapshot struct {
	UUID     string
	Payload  message.Payload // the message's own, which may be written to
	bytes    message.Payload // a copy
	metadata []pair
	none     bool // the metadata was nil
	few      [4]pair
}

type pair struct{ key, value string }

// Snapshot returns what msg is now; layers that ask for the same share it.
func (d *Delivery) Snapshot(msg *message.Message) *Snapshot {
	if d == nil {
		return newSnapshot(msg)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.received == nil || !d.received.is(msg) {
		d.received = newSnapshot(msg)
	}
	return d.received
}

func newSnapshot(msg *message.Message) *Snapshot {
	s := &Snapshot{UUID: msg.UUID, Payload: msg.Payload, bytes: bytes.Clone(msg.Payload), none: msg.Metadata == nil}
	s.metadata = s.few[:0]
	for k, v := range msg.Metadata {
		s.metadata = append(s.metadata, pair{k, v})
	}
	return s
}

func (s *Snapshot) is(msg *message.Message) bool {
	if s.UUID != msg.UUID || s.none != (msg.Metadata == nil) || len(s.metadata) != len(msg.Metadata) || !bytes.Equal(s.bytes, msg.Payload) ||
		!same(s.Payload, msg.Payload) {
		return false
	}
	for _, p := range s.metadata {
		if v, ok := msg.Metadata[p.key]; !ok || v != p.value {
			return false
		}
	}
	return true
}

// same reports whether a and b are one slice.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Metadata returns a copy of the metadata.
func (s *Snapshot) Metadata() message.Metadata {
	if s.none {
		return nil
	}
	m := make(message.Metadata, len(s.metadata))
	for _, p := range s.metadata {
		m[p.key] = p.value
	}
	return m
}

// Message returns a message of its own with what was received; one without
// metadata has empty metadata.
func (s *Snapshot) Message() *message.Message {
	m := message.NewMessage(s.UUID, bytes.Clone(s.bytes))
	for _, p := range s.metadata {
		m.Metadata[p.key] = p.value
	}
	return m
}

// Copy returns a message of its own with what msg is now.
func Copy(msg *message.Message) *message.Message { return newSnapshot(msg).Message() }
