// Package parked is the form in which a message waits in the schedule for its
// one handler: what a broker delivered, which handler it is for, and what has
// been tried. Whoever parks a message and whoever redrives a dead letter write
// it, and the worker that calls the handler reads it.
package parked

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/header"
)

// Queue is the schedule's queue of parked messages.
const Queue = "park"

// ErrFormat says that bytes are no envelope.
var ErrFormat = errors.New("not a parked message")

// Envelope is a message with its way.
type Envelope struct {
	UUID     string
	Metadata message.Metadata
	Payload  []byte
	// Consumer is the service's namespace and Handler the handler's name.
	Consumer, Handler string
	// Topic is where the message was received, and Subscriber the type that
	// received it.
	Topic, Subscriber string
	// Key is the idempotency key as the inbox keeps it; empty: none is known.
	Key string
	// Order is the ordering key; empty: none.
	Order string
	// Epoch of the inbox record.
	Epoch int64
	// Letter is the dead letter that it was redriven from, 0 for none.
	Letter int64
	// Attempts are those made before it was put here, oldest first.
	Attempts []delivery.Record
}

// Target is the schedule's unit of concurrency: consumer and handler in one.
func (e Envelope) Target() string {
	d := delivery.Delivery{Consumer: e.Consumer, Handler: e.Handler}
	return d.Scope()
}

// TaskKey is the key of the task, unique among the unfinished ones of a target.
func (e Envelope) TaskKey() string {
	switch {
	case e.Key != "":
		return e.Key
	case e.Letter != 0:
		return "letter:" + strconv.FormatInt(e.Letter, 10)
	default:
		return "uuid:" + e.UUID
	}
}

// Message returns a message of its own.
func (e Envelope) Message() *message.Message {
	return delivery.Copy(&message.Message{UUID: e.UUID, Metadata: e.Metadata, Payload: e.Payload})
}

// magic begins every envelope and counts its form.
const magic = "SP1\n"

// prefix is the length of what is in front of the header: magic and length.
const prefix = len(magic) + 4

type head struct {
	UUID       string            `json:"uuid"`
	Metadata   json.RawMessage   `json:"metadata"`
	Consumer   string            `json:"consumer,omitempty"`
	Handler    string            `json:"handler"`
	Topic      string            `json:"topic,omitempty"`
	Subscriber string            `json:"subscriber,omitempty"`
	Key        string            `json:"key,omitempty"`
	Order      string            `json:"order,omitempty"`
	Epoch      int64             `json:"epoch,omitempty"`
	Letter     int64             `json:"letter,omitempty"`
	Attempts   []delivery.Record `json:"attempts,omitempty"`
}

// Encode returns e as bytes: a header in JSON, and the payload as it is.
func (e Envelope) Encode() ([]byte, error) {
	metadata, err := header.Encode(e.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode parked message: %w", err)
	}
	h, err := json.Marshal(head{
		UUID: e.UUID, Metadata: json.RawMessage(metadata), Consumer: e.Consumer, Handler: e.Handler, Topic: e.Topic, Subscriber: e.Subscriber,
		Key: e.Key, Order: e.Order, Epoch: e.Epoch, Letter: e.Letter, Attempts: e.Attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("encode parked message: %w", err)
	}
	out := make([]byte, 0, prefix+len(h)+len(e.Payload))
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(h))) //nolint:gosec // a header of 4 GiB does not fit into memory twice
	out = append(out, h...)
	return append(out, e.Payload...), nil
}

// Decode reads what Encode wrote, or returns an error that wraps ErrFormat. The
// payload lies within b.
func Decode(b []byte) (Envelope, error) {
	if len(b) < prefix || string(b[:len(magic)]) != magic {
		return Envelope{}, fmt.Errorf("%w: it begins with other bytes", ErrFormat)
	}
	n := int64(binary.BigEndian.Uint32(b[len(magic):prefix]))
	rest := b[prefix:]
	if n > int64(len(rest)) {
		return Envelope{}, fmt.Errorf("%w: its header is cut off", ErrFormat)
	}
	var h head
	if err := json.Unmarshal(rest[:n], &h); err != nil {
		return Envelope{}, fmt.Errorf("%w: its header: %w", ErrFormat, err)
	}
	metadata, err := header.Decode(string(h.Metadata))
	if err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return Envelope{
		UUID: h.UUID, Metadata: metadata, Payload: rest[n:len(rest):len(rest)], Consumer: h.Consumer, Handler: h.Handler, Topic: h.Topic,
		Subscriber: h.Subscriber, Key: h.Key, Order: h.Order, Epoch: h.Epoch, Letter: h.Letter, Attempts: h.Attempts,
	}, nil
}

type contextKey struct{}

// With returns a context that carries e: the message that is handled on it came
// out of the schedule.
func With(ctx context.Context, e *Envelope) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// From returns the envelope that ctx carries, or nil.
func From(ctx context.Context) *Envelope {
	e, _ := ctx.Value(contextKey{}).(*Envelope)
	return e
}
