package amqp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/internal/header"
)

const (
	// uuidHeader is watermill-amqp's DefaultMessageUUIDHeaderKey.
	uuidHeader = "_watermill_message_uuid"
	// nilHeader marks a nil payload: AMQP knows only empty ones.
	nilHeader = header.Prefix + "nil"
	// countHeader is what quorum queues add to what comes back to them. It is a
	// number, which watermill-amqp cannot read.
	countHeader = "x-delivery-count"
)

// marshal makes a publishing in watermill-amqp's format: the UUID and each
// metadata entry are headers. It returns the size of the headers on the wire.
// An error means that msg can never be sent.
func marshal(msg *message.Message, maxBytes int) (p amqp091.Publishing, headers int, err error) {
	table := make(amqp091.Table, len(msg.Metadata)+2)
	for key, value := range msg.Metadata {
		if len(key) > maxName {
			return p, 0, errors.New("a metadata key is longer than 255 bytes")
		}
		table[key] = value
		headers += fieldSize(key, value)
	}
	table[uuidHeader] = msg.UUID
	headers += fieldSize(uuidHeader, msg.UUID)
	if msg.Payload == nil {
		table[nilHeader] = "1"
		headers += fieldSize(nilHeader, "1")
	}
	if size := headers + len(msg.Payload); size > maxBytes {
		return p, 0, fmt.Errorf("message has %d bytes with its metadata, more than max_message_bytes, %d", size, maxBytes)
	}
	return amqp091.Publishing{Headers: table, Body: msg.Payload, DeliveryMode: amqp091.Persistent}, headers, nil
}

// fieldSize is what a header takes: its name, the type, its length and value.
func fieldSize(key, value string) int { return 1 + len(key) + 1 + 4 + len(value) }

// keyOf returns the partition key of a delivery, as unmarshal does.
func keyOf(d *amqp091.Delivery) string {
	key, _ := d.Headers[header.Key].(string)
	if !utf8.ValidString(key) {
		return ""
	}
	return key
}

// unmarshal makes a message of any delivery. What is not as Watermill writes
// it is said in the metadata; it never fails, since a delivery that cannot be
// handled comes again for ever.
func unmarshal(d *amqp091.Delivery) *message.Message {
	metadata := make(message.Metadata, len(d.Headers))
	id, problem := "", ""
	for name, value := range d.Headers {
		text, readable := asText(value)
		switch {
		case name == countHeader, !readable && strings.HasPrefix(name, "x-"): // RabbitMQ's own
		case !utf8.ValidString(name):
			problem = first(problem, "the name of a header is not UTF-8")
		case !readable:
			problem = first(problem, fmt.Sprintf("header %q is not a text", name))
		case name == uuidHeader:
			id = text
		default:
			metadata[name] = text
		}
	}
	body := d.Body
	if _, none := metadata[nilHeader]; none && len(body) == 0 {
		body = nil
	}
	header.Strip(metadata)
	if id == "" {
		id = foreignUUID(d, metadata)
	}
	if problem != "" {
		metadata[header.Quarantine] = problem
	}
	msg := message.NewMessage(id, body)
	msg.Metadata = metadata
	return msg
}

// asText returns a header's value as text, where it has one.
func asText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, utf8.ValidString(v)
	case []byte:
		return string(v), utf8.Valid(v)
	case bool:
		return strconv.FormatBool(v), true
	case int8, byte, int16, uint16, int32, uint32, int64, int, float32, float64:
		return fmt.Sprint(v), true
	case time.Time:
		return v.UTC().Format(time.RFC3339), true
	}
	return "", false
}

// first keeps the text the same each time: headers come in no order.
func first(problem, more string) string {
	if problem != "" && problem < more {
		return problem
	}
	return more
}

// foreignUUID gives a delivery the same UUID whenever and wherever it is read.
// AMQP has no position to make it from, so it is made from the content.
func foreignUUID(d *amqp091.Delivery, metadata message.Metadata) string {
	if d.MessageId != "" && utf8.ValidString(d.MessageId) {
		return d.MessageId
	}
	h := sha256.New()
	part := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s", len(s), s) }
	for _, s := range []string{d.Exchange, d.RoutingKey, d.Type, d.AppId, d.CorrelationId, strconv.FormatInt(d.Timestamp.UnixMilli(), 10)} {
		part(s)
	}
	names := make([]string, 0, len(metadata))
	for name := range metadata {
		if !strings.HasPrefix(name, "x-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		part(name)
		part(metadata[name])
	}
	_, _ = h.Write(d.Body)
	return uuid.NewSHA1(uuid.NameSpaceURL, h.Sum([]byte("amqp/"))).String()
}
