package redis

import (
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
	id      string
	key     string
	topic   string
	fields  []any // names and values in turn
	decoded *message.Message
}

// newEntry makes an entry of any fields. What is not as Watermill writes it is
// said in the metadata; it never fails, since a subscription that ends at an
// entry ends there again for ever.
func newEntry(topic, id string, fields []any) *entry {
	e := &entry{id: id, topic: topic, fields: fields}
	e.decoded = e.decode()
	e.key = e.decoded.Metadata[header.Key]
	return e
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

func (e *entry) decode() *message.Message {
	var id, rawMetadata, payload string
	var hasID, hasMetadata, hasPayload bool
	var problem error
	var extra []int // fields that Watermill does not know
	for i := 0; i+1 < len(e.fields); i += 2 {
		name, value := str(e.fields[i]), str(e.fields[i+1])
		twice := false
		switch name {
		case fieldUUID:
			twice, id, hasID = hasID, value, true
		case fieldMetadata:
			twice, rawMetadata, hasMetadata = hasMetadata, value, true
		case fieldPayload:
			twice, payload, hasPayload = hasPayload, value, true
		default:
			extra = append(extra, i)
		}
		if twice {
			problem = first(problem, fmt.Errorf("the entry has the field %s twice", name))
		}
	}
	if !hasID && !hasPayload {
		problem = errors.New("the entry has no field " + fieldPayload)
		msg := message.NewMessage(e.foreignUUID(), appendFields(nil, e.fields))
		msg.Metadata = message.Metadata{header.Quarantine: problem.Error()}
		return msg
	}
	if !utf8.ValidString(id) {
		id, problem = "", first(problem, fmt.Errorf("the field %s is not UTF-8", fieldUUID))
	}
	if id == "" {
		id = e.foreignUUID()
	}
	metadata, err := readMetadata(rawMetadata)
	problem = first(problem, err)
	for _, i := range extra {
		problem = first(problem, keepExtra(metadata, str(e.fields[i]), str(e.fields[i+1])))
	}
	header.Strip(metadata)
	if problem != nil {
		metadata[header.Quarantine] = problem.Error()
	}
	msg := message.NewMessage(id, nil)
	if hasPayload {
		msg.Payload = []byte(payload)
	}
	msg.Metadata = metadata
	return msg
}

// keepExtra keeps a field that Watermill does not know as metadata.
func keepExtra(metadata message.Metadata, name, value string) error {
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return errors.New("a field of the entry is not UTF-8")
	}
	if _, taken := metadata[name]; taken {
		return errors.New("a field of the entry has a name that the metadata has too")
	}
	metadata[name] = value
	return nil
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

// appendFields writes all fields as a msgpack map, so that nothing is lost of
// an entry that somebody else has written.
func appendFields(b []byte, fields []any) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(len(fields)/2)) //nolint:gosec // what came in one reply
	for _, f := range fields {
		b = appendText(b, str(f))
	}
	return b
}

// foreignUUID gives an entry the same UUID whenever it is read.
func (e *entry) foreignUUID() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("redis/"+e.topic+"/"+e.id)).String()
}
