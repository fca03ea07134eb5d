package forwarder

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"github.com/sluicegate/sluicegate/internal/header"
)

// The longest values that every dialect's columns and the usual brokers take,
// in bytes.
const (
	maxTopic       = 249
	maxUUID        = 255
	maxKey         = 1024
	maxTraceParent = 64
	maxTraceState  = 1024
)

var topicPattern = regexp.MustCompile(`^[A-Za-z0-9._:$/-]+$`)

// row is a message as the table holds it.
type row struct {
	shard                   int
	topic, key, uuid        string
	payload                 []byte
	headers                 string
	traceParent, traceState string
	attempts                int   // of a row that enters anew
	due                     int64 // when the message may leave, in microseconds since the epoch; 0: now
}

func (r *row) size() int {
	return len(r.topic) + len(r.key) + len(r.uuid) + len(r.payload) + len(r.headers) + len(r.traceParent) + len(r.traceState) + 64
}

func (r *row) args() []any {
	var payload any // an untyped nil is NULL with every driver
	if r.payload != nil {
		payload = r.payload
	}
	return []any{r.shard, r.topic, r.key, r.uuid, payload, r.headers, r.traceParent, r.traceState}
}

func checkTopic(topic string) error {
	var reason string
	switch {
	case topic == "":
		reason = "is empty"
	case len(topic) > maxTopic:
		reason = fmt.Sprintf("has %d bytes, at most %d are allowed", len(topic), maxTopic)
	case topic == "." || topic == "..":
		reason = fmt.Sprintf("%q is reserved", topic)
	case !topicPattern.MatchString(topic):
		reason = fmt.Sprintf("%q has characters other than letters, digits and . _ - : $ /", topic)
	default:
		return nil
	}
	return &MessageError{Index: -1, Field: "topic", Reason: reason}
}

// rows makes and checks the rows of one call.
func (o *Outbox) rows(ctx context.Context, topic string, msgs []*message.Message) ([]row, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	out := make([]row, len(msgs))
	for i, msg := range msgs {
		if msg == nil {
			return nil, &MessageError{Index: i, Field: "message", Reason: "is nil"}
		}
		if err := o.fill(ctx, &out[i], topic, msg); err != nil {
			err.Index = i
			if err.Field != "uuid" {
				err.UUID = msg.UUID
			}
			return nil, err
		}
	}
	return out, nil
}

func (o *Outbox) fill(ctx context.Context, r *row, topic string, msg *message.Message) *MessageError {
	*r = row{topic: topic, uuid: msg.UUID, payload: msg.Payload}
	if r.uuid == "" {
		r.uuid = newUUID()
	}
	if reason := checkText(r.uuid, maxUUID); reason != "" {
		return &MessageError{Field: "uuid", Reason: reason}
	}
	if o.cfg.Key != nil {
		r.key = o.cfg.Key(topic, msg)
	}
	if r.key == "" {
		r.key = msg.Metadata.Get(header.Key)
	}
	if reason := checkText(r.key, maxKey); reason != "" {
		return &MessageError{Field: "key", Reason: reason}
	}
	if err := r.setTimes(msg.Metadata); err != nil {
		return err
	}
	if err := r.setHeaders(msg.Metadata); err != nil {
		return err
	}
	r.setTrace(ctx, msg)
	r.shard = shardOf(r.key, r.uuid)
	if size := len(r.payload) + len(r.headers) + len(r.key); size > o.cfg.MaxMessageBytes {
		return &MessageError{Field: "message", Reason: fmt.Sprintf("has %d bytes of payload, metadata and key, at most %d are allowed", size, o.cfg.MaxMessageBytes)}
	}
	return nil
}

// setHeaders stores the metadata as flat JSON, but for the key, which has a
// column of its own, and the time to leave, which is over once it has come.
func (r *row) setHeaders(md message.Metadata) *MessageError {
	for k, v := range md {
		// JSON would replace what is no UTF-8; what travels must not change.
		if !utf8.ValidString(k) {
			return &MessageError{Field: "metadata", Reason: fmt.Sprintf("a name is not valid UTF-8: %q", k)}
		}
		if !utf8.ValidString(v) {
			return &MessageError{Field: "metadata", Reason: fmt.Sprintf("the value of %q is not valid UTF-8", k)}
		}
	}
	if _, timed := md[header.AvailableAt]; timed || r.key != "" && md[header.Key] != "" {
		md = maps.Clone(md)
		delete(md, header.AvailableAt)
		if r.key != "" {
			delete(md, header.Key)
		}
	}
	if len(md) == 0 {
		r.headers = "{}"
		return nil
	}
	b, err := json.Marshal(md)
	if err != nil {
		return &MessageError{Field: "metadata", Reason: err.Error()}
	}
	r.headers = string(b)
	return nil
}

// setTrace fills the trace columns. A traceparent that the message carries
// already was put there on purpose and stays.
func (r *row) setTrace(ctx context.Context, msg *message.Message) {
	parent, state := msg.Metadata.Get(header.TraceParent), msg.Metadata.Get(header.TraceState)
	for _, c := range []context.Context{ctx, msg.Context()} {
		if parent != "" {
			break
		}
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(c, carrier)
		parent, state = carrier[header.TraceParent], carrier[header.TraceState]
	}
	if checkText(parent, maxTraceParent) != "" {
		return // not a trace context; whatever it is stays in the metadata
	}
	r.traceParent = parent
	// W3C Trace Context allows dropping a tracestate that is too long.
	if checkText(state, maxTraceState) == "" {
		r.traceState = state
	}
}

func checkText(s string, limit int) string {
	switch {
	case len(s) > limit:
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.IndexByte(s, 0) >= 0:
		return "contains a NUL character"
	}
	return ""
}

func newUUID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return id.String()
}

// Shards is how many virtual shards the messages of an outbox are spread over.
const shards = 32

// shardOf returns the shard of a key, or of a UUID where there is no key.
func shardOf(key, id string) int {
	if key == "" {
		key = id
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % shards)
}
