package kafka

import (
	"context"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
)

// handler is what sarama calls for each generation of the group.
type handler struct {
	*subscription
	joined bool
}

// Setup begins a generation.
func (h *handler) Setup(session sarama.ConsumerGroupSession) error {
	h.joined = true
	h.logger.Debug("kafka partitions assigned", "claims", session.Claims(), "generation", session.GenerationID())
	return nil
}

// Cleanup ends a generation. sarama commits what is marked after it.
func (*handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// delivery is a record under way.
type delivery struct {
	record *sarama.ConsumerMessage
	key    string
	number uint64 // at the tracker
}

// ConsumeClaim delivers one partition until it is taken back. It returns at
// once then, whatever its handlers do: the others of the group wait for it.
// Nothing is marked after it has returned, and sarama commits only then.
func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	ctx, cancel := context.WithCancel(session.Context()) // a claim's own, so that claims share no lock
	offsets := newTracker(h.consumer.limits, func(next int64) {
		session.MarkOffset(claim.Topic(), claim.Partition(), next, "")
	})
	d := dispatch.New(ctx, h.out, dispatch.Handlers[delivery]{
		Key:     h.lane,
		Message: func(r delivery) *message.Message { return unmarshal(r.record, r.key) },
		Acked:   func(r delivery) { offsets.finish(r.number) },
	}, dispatch.Config{
		Concurrency: h.consumer.concurrency, Queue: h.consumer.limits.records, Backoff: h.backoff,
	})
	defer d.Close()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case record, more := <-claim.Messages():
			if !more {
				return nil
			}
			number, ok := offsets.begin(ctx, record.Offset, len(record.Key)+len(record.Value))
			if !ok || !d.Add(delivery{record: record, key: string(record.Key), number: number}) {
				return nil
			}
		}
	}
}

// lane returns what keeps a record in order: its key, or with concurrency=1 the
// partition.
func (h *handler) lane(r delivery) string {
	if h.consumer.concurrency == 1 {
		return "partition"
	}
	return r.key
}
