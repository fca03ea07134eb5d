package forwarder

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// health knows what is away and logs when that changes, not each time.
type health struct {
	log *slog.Logger

	mu                      sync.Mutex
	brokerAway, databaseOut time.Time
	lastAck                 time.Time
}

func (h *health) broker(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.change(&h.brokerAway, "broker", err)
}

func (h *health) database(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.change(&h.databaseOut, "database", err)
}

func (h *health) change(since *time.Time, what string, err error) {
	switch {
	case err != nil && since.IsZero():
		*since = time.Now()
		h.log.Warn("outbox relay waits for what is away", "what", what, "error", err)
	case err == nil && !since.IsZero():
		h.log.Info("outbox relay goes on, what was away is back", "what", what, "away", time.Since(*since).Round(time.Millisecond))
		*since = time.Time{}
	}
}

func (h *health) acknowledged() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastAck = time.Now()
}

func (h *health) acknowledgedSince(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastAck.After(t)
}

func (h *health) since() (broker, database time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.brokerAway, h.databaseOut
}

// counters are the figures behind RelayStats.
type counters struct {
	delivered, failed, retried, stale, late, rereads, rounds, stretches, moved, expired, parked atomic.Int64
}
