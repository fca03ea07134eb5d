package sluicegatetest

import (
	"context"
	"slices"

	"github.com/sluicegate/sluicegate/internal/schema"
)

// maxRelayed bounds a round of messages that never ends.
const maxRelayed = 10_000

// Relay does as a relay and a broker: it delivers what is committed in the outbox to each
// handler of its topic, one message after the other, and what those put out in turn,
// until nothing is left, and returns how many messages it was. A message that no handler wants
// is gone from the outbox too; Published still knows it. What was published with a later
// time stays.
func (h *Harness) Relay() (n int) {
	h.tb.Helper()
	h.start()
	for {
		ctx, cancel := h.look()
		rows, err := h.readOutbox(ctx, h.DB)
		cancel()
		if err != nil {
			h.tb.Fatalf("sluicegatetest: read outbox: %v", blocked(ctx, err))
		}
		if len(rows) == 0 {
			return n
		}
		for _, r := range rows {
			if n++; n > maxRelayed {
				h.tb.Fatalf("sluicegatetest: %d messages were relayed, and there is no end: do two handlers answer each other?", maxRelayed)
			}
			for _, on := range h.handlers {
				if on.topic == r.topic {
					on.Deliver(r.msg)
				}
			}
			h.delivered(r)
		}
	}
}

// delivered takes a row out of the outbox, now that all have it.
func (h *Harness) delivered(r outboxRow) {
	h.tb.Helper()
	query := h.dialect.Bind("DELETE FROM " + h.names.Table(h.dialect, schema.Outbox) + " WHERE id = ?")
	if _, err := h.DB.ExecContext(context.Background(), query, r.id); err != nil {
		h.tb.Fatalf("sluicegatetest: settle message: %v", err)
	}
	h.relayed = append(slices.Clip(h.relayed), r)
}
