package idempotency

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Produced messages are stored as a version byte, their number, and for each
// UUID, payload and metadata. Numbers are varints; texts and bytes follow their
// length; a length or number that can be nil is one more, and 0 is nil. No
// messages are no bytes.
const codecVersion = 1

var errNilMessage = errors.New("handler returned a nil message")

func encodeMessages(msgs []*message.Message) ([]byte, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	size := 16
	for _, m := range msgs {
		if m == nil {
			return nil, errNilMessage
		}
		size += 16 + len(m.UUID) + len(m.Payload)
		for k, v := range m.Metadata {
			size += 4 + len(k) + len(v)
		}
	}
	b := append(make([]byte, 0, size), codecVersion)
	b = binary.AppendUvarint(b, uint64(len(msgs)))
	for _, m := range msgs {
		b = appendText(b, m.UUID)
		if m.Payload == nil {
			b = append(b, 0)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(m.Payload))+1), m.Payload...)
		}
		if m.Metadata == nil {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(m.Metadata))+1)
		for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
			b = appendText(appendText(b, k), m.Metadata[k])
		}
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func decodeMessages(b []byte) ([]*message.Message, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != codecVersion {
		return nil, fmt.Errorf("version %d is unknown, this program reads %d", b[0], codecVersion)
	}
	r := &reader{b: b[1:]}
	msgs := make([]*message.Message, 0, r.count(3))
	for range cap(msgs) {
		m := message.NewMessage(string(r.bytes(r.number())), nil)
		if n := r.number(); n > 0 {
			m.Payload = slices.Clone(r.bytes(n - 1))
		}
		m.Metadata = r.metadata()
		msgs = append(msgs, m)
	}
	if r.bad || len(r.b) != 0 {
		return nil, errors.New("bytes are damaged")
	}
	return msgs, nil
}

// reader takes from b; after the first thing that is not there, it is bad and
// gives only zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is a number of things that take at least size bytes each, so that
// damaged bytes cannot ask for more memory than they are.
func (r *reader) count(size uint64) int {
	n := r.number()
	if n > uint64(len(r.b))/size {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most len(r.b)
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return []byte{}
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) metadata() message.Metadata {
	n := r.number()
	if n == 0 {
		return nil
	}
	if n-1 > uint64(len(r.b))/2 {
		r.fail()
		return nil
	}
	md := make(message.Metadata, n-1)
	for range n - 1 {
		k := string(r.bytes(r.number()))
		md[k] = string(r.bytes(r.number()))
	}
	return md
}
