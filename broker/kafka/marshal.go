package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// What Kafka's format adds to a record and to a header, at most.
const (
	recordOverhead = 5*binary.MaxVarintLen32 + binary.MaxVarintLen64 + 1
	headerOverhead = 2 * binary.MaxVarintLen32
)

var errReservedHeader = errors.New("metadata " + wmkafka.UUIDHeaderKey + " is reserved for the message's UUID")

// item is one message as it is sent.
type item struct {
	index  int // in the call
	topic  string
	record *sarama.Record
	size   int // at most, in bytes
}

// marshaler makes the records of one call in watermill-kafka's format: the UUID
// in a header of its name, each metadata entry in a header. The partition key
// becomes the record key. All of them share a few allocations.
type marshaler struct {
	msgs     []broker.Outgoing
	maxBytes int
	topic    string // of the message before, and what is wrong with it
	topicErr error

	records []sarama.Record
	headers []sarama.RecordHeader
	links   []*sarama.RecordHeader
	text    []byte
}

func newMarshaler(msgs []broker.Outgoing, maxBytes int) *marshaler {
	headers, text := 0, 0
	for _, m := range msgs {
		headers += len(m.Message.Metadata) + 1
		text += len(wmkafka.UUIDHeaderKey) + len(m.Message.UUID)
		for k, v := range m.Message.Metadata {
			text += len(k) + len(v)
		}
	}
	return &marshaler{
		msgs: msgs, maxBytes: maxBytes,
		records: make([]sarama.Record, len(msgs)),
		headers: make([]sarama.RecordHeader, 0, headers),
		links:   make([]*sarama.RecordHeader, 0, headers),
		text:    make([]byte, 0, text),
	}
}

// marshal makes the record of message i. An error means that it can never be
// sent.
func (m *marshaler) marshal(i int) (item, error) {
	topic, msg := m.msgs[i].Topic, m.msgs[i].Message
	if i == 0 || m.topic != topic {
		m.topic, m.topicErr = topic, checkTopic(topic)
	}
	if m.topicErr != nil {
		return item{}, m.topicErr
	}
	record := &m.records[i]
	record.Value = msg.Payload
	size := recordOverhead + len(msg.Payload)
	first := len(m.links)
	size += m.header(wmkafka.UUIDHeaderKey, msg.UUID)
	for k, v := range msg.Metadata {
		switch k {
		case header.Key:
			if v != "" {
				record.Key = m.bytes(v)
				size += len(v)
			}
			continue
		case wmkafka.UUIDHeaderKey:
			return item{}, errReservedHeader
		}
		size += m.header(k, v)
	}
	record.Headers = m.links[first:len(m.links):len(m.links)]
	if size > m.maxBytes {
		return item{}, fmt.Errorf("message has %d bytes with its metadata, more than max_message_bytes, %d", size, m.maxBytes)
	}
	return item{index: i, topic: topic, record: record, size: size}, nil
}

func (m *marshaler) header(key, value string) (size int) {
	m.headers = append(m.headers, sarama.RecordHeader{Key: m.bytes(key), Value: m.bytes(value)})
	m.links = append(m.links, &m.headers[len(m.headers)-1])
	return len(key) + len(value) + headerOverhead
}

func (m *marshaler) bytes(s string) []byte {
	first := len(m.text)
	m.text = append(m.text, s...)
	return m.text[first:len(m.text):len(m.text)]
}
