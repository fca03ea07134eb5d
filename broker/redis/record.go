package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/header"
)

// The fields of an entry, as watermill-redisstream names them. Its package is
// not imported: it brings protobuf and an SDK along.
const (
	fieldUUID     = "_watermill_message_uuid"
	fieldMetadata = "metadata"
	fieldPayload  = "payload"
)

// check reports why msg can never be sent.
func check(msg *message.Message, maxBytes int) error {
	if _, reserved := msg.Metadata[fieldUUID]; reserved {
		return fmt.Errorf("metadata has the entry %s, which is reserved for the UUID", fieldUUID)
	}
	if size := len(msg.UUID) + metadataSize(msg.Metadata) + len(msg.Payload); size > maxBytes {
		return fmt.Errorf("message has %d bytes with its metadata, more than max_message_bytes, %d", size, maxBytes)
	}
	return nil
}

// entry is one entry of a stream. Its message is made anew for each delivery.
type entry struct {
	id, topic string
	key       string

	uuid, metadata, payload          []byte // of the reply they came in
	hasUUID, hasMetadata, hasPayload bool
	extra                            [][]byte           // names and values that Watermill does not know, in turn
	decoded                          *message.Message   // for the first delivery
	end                              context.CancelFunc // of the attempt under way
}

// set sets a field, the first of each name.
func (e *entry) set(name, value []byte) {
	switch {
	case string(name) == fieldUUID && !e.hasUUID:
		e.uuid, e.hasUUID = value, true
	case string(name) == fieldMetadata && !e.hasMetadata:
		e.metadata, e.hasMetadata = value, true
	case string(name) == fieldPayload && !e.hasPayload:
		e.payload, e.hasPayload = value, true
	default:
		e.extra = append(e.extra, name, value)
	}
}

// read is called after all fields were set.
func (e *entry) read() {
	e.decoded = e.decode()
	e.key = e.decoded.Metadata[header.Key]
}

// attempt makes a message whose context ends with its ack or the next attempt.
func (e *entry) attempt(claim context.Context) *message.Message {
	if e.end != nil {
		e.end()
	}
	msg := e.message()
	var ctx context.Context
	ctx, e.end = context.WithCancel(claim)
	msg.SetContext(ctx)
	return msg
}

// message returns a message that shares nothing with those before it.
func (e *entry) message() *message.Message {
	msg := e.decoded
	if msg == nil {
		return e.decode()
	}
	e.decoded = nil
	return msg
}

// decode makes a message of any fields. What is not as Watermill writes it is
// said in the metadata; it never fails, since a subscription that ends at an
// entry ends there again for ever.
func (e *entry) decode() *message.Message {
	if !e.hasUUID && !e.hasPayload {
		return e.foreign()
	}
	metadata, problem := readMetadata(e.metadata)
	id := string(e.uuid)
	if !utf8.ValidString(id) {
		id, problem = "", first(problem, errors.New("the field "+fieldUUID+" is not UTF-8"))
	}
	if id == "" {
		id = e.foreignUUID()
	}
	for i := 0; i+1 < len(e.extra); i += 2 {
		problem = first(problem, keepExtra(metadata, string(e.extra[i]), string(e.extra[i+1])))
	}
	header.Strip(metadata)
	if problem != nil {
		metadata[header.Quarantine] = problem.Error()
	}
	msg := message.NewMessage(id, nil)
	if e.hasPayload {
		msg.Payload = append([]byte{}, e.payload...)
	}
	msg.Metadata = metadata
	return msg
}

// foreign makes a message of an entry that is none of Watermill's.
func (e *entry) foreign() *message.Message {
	fields := e.extra
	if e.hasMetadata {
		fields = append([][]byte{[]byte(fieldMetadata), e.metadata}, fields...)
	}
	b := binary.BigEndian.AppendUint32([]byte{0xdf}, uint32(len(fields)/2)) //nolint:gosec // what came in one reply
	for _, f := range fields {
		b = appendText(b, string(f))
	}
	msg := message.NewMessage(e.foreignUUID(), b)
	msg.Metadata = message.Metadata{header.Quarantine: "the entry has no field " + fieldPayload}
	return msg
}

// keepExtra keeps a field that Watermill does not know as metadata.
func keepExtra(metadata message.Metadata, name, value string) error {
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return errors.New("a field of the entry is not UTF-8")
	}
	if name == fieldUUID || name == fieldMetadata || name == fieldPayload {
		return fmt.Errorf("the entry has the field %s twice", name)
	}
	if _, taken := metadata[name]; taken {
		return errors.New("a field of the entry has a name that the metadata has too")
	}
	metadata[name] = value
	return nil
}

// foreignUUID gives an entry the same UUID whenever it is read.
func (e *entry) foreignUUID() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("redis/"+e.topic+"/"+e.id)).String()
}
