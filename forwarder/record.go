package forwarder

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// errHeaders says that the headers column of a row is no flat JSON object of
// strings. The decoder's own error would quote what it found.
var errHeaders = errors.New("headers are not a JSON object of strings")

// record is one row as the relay reads it.
type record struct {
	id                      int64
	shard, attempts         int
	topic, key, uuid        string
	payload                 []byte
	headers                 string
	traceParent, traceState string
	place                   string // PostgreSQL's ctid

	msg *message.Message // made by decode
}

func (m *record) size() int {
	return len(m.topic) + len(m.key) + len(m.uuid) + len(m.payload) + len(m.headers)
}

// decode makes the message that Publish was given.
func (m *record) decode() error {
	msg := message.NewMessage(m.uuid, m.payload)
	if m.headers != "" && m.headers != "{}" {
		if !plainObject(m.headers, msg.Metadata) {
			clear(msg.Metadata)
			if err := json.Unmarshal([]byte(m.headers), &msg.Metadata); err != nil || msg.Metadata == nil {
				return errHeaders
			}
		}
	}
	if m.key != "" {
		msg.Metadata[header.Key] = m.key
	}
	if _, ok := msg.Metadata[header.TraceParent]; !ok && m.traceParent != "" {
		msg.Metadata[header.TraceParent] = m.traceParent
		if m.traceState != "" {
			msg.Metadata[header.TraceState] = m.traceState
		}
	}
	m.msg = msg
	return nil
}

// outgoing returns the message with ctx. Each record is sent once; another
// attempt reads the row anew.
func (m *record) outgoing(ctx context.Context) *message.Message {
	m.msg.SetContext(ctx)
	return m.msg
}
