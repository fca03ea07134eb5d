package kafka

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/header"
)

// unmarshal makes a message of any record with this key. What is not as
// Watermill writes it is said in the metadata; it never fails, since a
// subscription that ends at a record ends there again for ever.
func unmarshal(record *sarama.ConsumerMessage, key string) *message.Message {
	msg := message.NewMessage("", record.Value)
	id, problem := readHeaders(record.Headers, msg.Metadata)
	if id == "" {
		id = foreignUUID(record)
	}
	msg.UUID = id
	switch {
	case record.Key == nil:
	case !utf8.ValidString(key):
		delete(msg.Metadata, header.Key)
		problem = join(problem, "the record key is not UTF-8")
	case key != "":
		msg.Metadata[header.Key] = key
	}
	if problem != "" {
		msg.Metadata[header.Quarantine] = problem
	}
	return msg
}

// readHeaders puts what can be read into metadata, the first of each name. All
// strings of a record share one allocation.
func readHeaders(headers []*sarama.RecordHeader, metadata message.Metadata) (id, problem string) {
	var text strings.Builder
	text.Grow(textSize(headers))
	take := func(b []byte) string {
		at := text.Len()
		text.Write(b)
		return text.String()[at:]
	}
	hasID, strip := false, false
	for i, h := range headers {
		if h == nil {
			continue
		}
		if !utf8.Valid(h.Key) || !utf8.Valid(h.Value) {
			problem = join(problem, fmt.Sprintf("header %d is not UTF-8", i+1))
			continue
		}
		isID := string(h.Key) == wmkafka.UUIDHeaderKey
		_, twice := metadata[string(h.Key)]
		switch {
		case twice || isID && hasID:
			problem = join(problem, fmt.Sprintf("header %d has the name of one before it", i+1))
		case isID:
			id, hasID = take(h.Value), true
		default:
			name := take(h.Key)
			metadata[name] = take(h.Value)
			strip = strip || header.Internal(name)
		}
	}
	if strip {
		header.Strip(metadata)
	}
	return id, problem
}

func textSize(headers []*sarama.RecordHeader) (n int) {
	for _, h := range headers {
		if h != nil {
			n += len(h.Key) + len(h.Value)
		}
	}
	return n
}

// join keeps the text short: one problem is enough to set a message aside.
func join(problem, more string) string {
	if problem != "" {
		return problem
	}
	return more
}

// foreignUUID gives a record the same UUID whenever it is read. The timestamp
// is part of it, because a topic that was deleted and made again has the
// same offsets.
func foreignUUID(record *sarama.ConsumerMessage) string {
	name := fmt.Sprintf("kafka/%s/%d/%d/%d", record.Topic, record.Partition, record.Offset, record.Timestamp.UnixMilli())
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
}
