package sluicegatetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// Match is a condition on a message. Several are met together.
type Match struct {
	text string
	ok   func(*message.Message) bool
}

// Where is met by the messages for which ok is true; text says so in failures: "of 3 pounds".
func Where(text string, ok func(*message.Message) bool) Match { return Match{text, ok} }

// UUID is met by the message with this UUID.
func UUID(id string) Match {
	return Where(fmt.Sprintf("with UUID %q", id), func(m *message.Message) bool { return m.UUID == id })
}

// Key is met by the messages with this partition key (forwarder.SetKey).
func Key(key string) Match {
	return Where(fmt.Sprintf("with key %q", key), func(m *message.Message) bool { return m.Metadata.Get(header.Key) == key })
}

// Metadata is met by the messages with this value under name.
func Metadata(name, value string) Match {
	return Where(fmt.Sprintf("with the given metadata %q", name), func(m *message.Message) bool { return m.Metadata.Get(name) == value })
}

// Payload is met by the messages with these bytes.
func Payload(payload []byte) Match {
	return Where(fmt.Sprintf("with the given payload of %d bytes", len(payload)), func(m *message.Message) bool { return bytes.Equal(m.Payload, payload) })
}

// JSON is met by the messages whose payload is the same JSON as v encodes to, whatever the
// order of its fields.
func JSON(v any) Match {
	encoded, err := json.Marshal(v)
	want, decodeErr := decodeJSON(encoded)
	return Where("with the given JSON", func(m *message.Message) bool {
		got, gotErr := decodeJSON(m.Payload)
		return err == nil && decodeErr == nil && gotErr == nil && reflect.DeepEqual(got, want)
	})
}

func decodeJSON(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err = d.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	return v, nil
}

func meets(m *message.Message, match []Match) bool {
	for _, c := range match {
		if !c.ok(m) {
			return false
		}
	}
	return true
}
