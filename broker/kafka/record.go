package kafka

import (
	"fmt"
	"unicode/utf8"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/header"
)

// unmarshal makes a message of any record. What is not as Watermill writes it
// is said in the metadata; it never fails, since a subscription that ends at a
// record ends there again for ever.
func unmarshal(record *sarama.ConsumerMessage) *message.Message {
	id, metadata, problem := readHeaders(record.Headers)
	header.Strip(metadata)
	if id == "" {
		id = foreignUUID(record)
	}
	switch {
	case record.Key == nil:
	case !utf8.Valid(record.Key):
		delete(metadata, header.Key)
		problem = join(problem, "the record key is not UTF-8")
	case len(record.Key) > 0:
		metadata[header.Key] = string(record.Key)
	}
	if problem != "" {
		metadata[header.Quarantine] = problem
	}
	msg := message.NewMessage(id, record.Value)
	msg.Metadata = metadata
	return msg
}

// readHeaders keeps what can be read, the first of each name.
func readHeaders(headers []*sarama.RecordHeader) (id string, metadata message.Metadata, problem string) {
	metadata = make(message.Metadata, len(headers)+1)
	seen := make(map[string]struct{}, len(headers))
	for i, h := range headers {
		if h == nil {
			continue
		}
		name := string(h.Key)
		if !utf8.Valid(h.Key) || !utf8.Valid(h.Value) {
			problem = join(problem, fmt.Sprintf("header %d is not UTF-8", i+1))
			continue
		}
		if _, twice := seen[name]; twice {
			problem = join(problem, fmt.Sprintf("header %d has the name of one before it", i+1))
			continue
		}
		seen[name] = struct{}{}
		if name == wmkafka.UUIDHeaderKey {
			id = string(h.Value)
		} else {
			metadata[name] = string(h.Value)
		}
	}
	return id, metadata, problem
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
