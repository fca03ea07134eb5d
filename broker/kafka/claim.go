package kafka

import (
	"context"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/internal/backoff"
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

// ConsumeClaim delivers one partition, a record at a time, until it is taken
// back. It returns at once then, whatever its handler does: the others of the
// group wait for it.
func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	ctx := session.Context()
	var offsets tracker
	for {
		select {
		case <-ctx.Done():
			return nil
		case record, more := <-claim.Messages():
			if !more {
				return nil
			}
			offsets.begin(record.Offset)
			if !h.handle(ctx, record) {
				return nil
			}
			if next, moved := offsets.finish(record.Offset); moved {
				session.MarkOffset(claim.Topic(), claim.Partition(), next, "")
			}
		}
	}
}

// handle delivers a record until it is acked, and reports whether it was.
// False means that ctx has ended: nothing may be marked any more.
func (h *handler) handle(ctx context.Context, record *sarama.ConsumerMessage) bool {
	for nacks := 0; ctx.Err() == nil; {
		switch h.attempt(ctx, record) {
		case acked:
			return true
		case nacked:
			nacks++
			_ = backoff.Wait(ctx, h.backoff.Delay(nacks))
		case revoked:
			return false
		}
	}
	return false
}

type answer int

const (
	acked answer = iota
	nacked
	revoked
)

// attempt delivers a record once, as a message of its own whose context ends
// with the attempt.
func (h *handler) attempt(ctx context.Context, record *sarama.ConsumerMessage) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg := unmarshal(record)
	msg.SetContext(ctx)
	select {
	case h.out <- msg:
	case <-ctx.Done():
		return revoked
	}
	select {
	case <-msg.Acked():
		return acked
	case <-msg.Nacked():
		return nacked
	case <-ctx.Done():
	}
	select {
	case <-msg.Acked(): // before or together with the end: the claim is still ours
		return acked
	default:
		return revoked
	}
}
