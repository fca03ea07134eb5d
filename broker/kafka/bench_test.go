package kafka

import (
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// The records of a batch of 1000; divide by 1000 for one message.
func BenchmarkMarshalThousand(b *testing.B) {
	msgs := make([]broker.Outgoing, 1000)
	for i := range msgs {
		msg := message.NewMessage("0192f0c0-0000-7000-8000-000000000000", make([]byte, 256))
		msg.Metadata = message.Metadata{
			"event_type": "orders.placed", "tenant": "tenant-7", "correlation_id": msg.UUID, header.Key: "order-" + strconv.Itoa(i),
		}
		msgs[i] = broker.Outgoing{Topic: "orders", Message: msg}
	}
	b.ReportAllocs()
	for b.Loop() {
		m := newMarshaler(msgs, 1_000_000)
		for i := range msgs {
			if _, err := m.marshal(i); err != nil {
				b.Fatal(err)
			}
		}
	}
}
