package sluicegatetest

import (
	"context"
	"slices"
	"sync"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// record is what the Stack has told.
type record struct {
	observe func(sluicegate.Event)
	alerts  alert.Emitter

	mu     sync.Mutex
	events []sluicegate.Event
	rung   []alert.Alert
}

func (r *record) event(e sluicegate.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	if r.observe != nil {
		r.observe(e)
	}
}

// Emit is the alert.Emitter.
func (r *record) Emit(a alert.Alert) {
	r.mu.Lock()
	r.rung = append(r.rung, a)
	r.mu.Unlock()
	if r.alerts != nil {
		r.alerts.Emit(a)
	}
}

// Alerts returns what was told to people so far, in order. Nothing is grouped.
func (h *Harness) Alerts() []alert.Alert {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	return slices.Clone(h.seen.rung)
}

// Emitter takes alerts of the code under test, for Alerts.
func (h *Harness) Emitter() alert.Emitter { return &h.seen }

// Events returns what the Stack has told Config.Stack.Observe so far, in order.
func (h *Harness) Events() []sluicegate.Event {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	return slices.Clone(h.seen.events)
}

// DeadLetters returns the messages that were set aside and not redriven, the newest
// first. They are in the table, where Config.Stack.DeadLetters is not set.
func (h *Harness) DeadLetters() []deadletter.Letter {
	h.tb.Helper()
	s := h.cfg.Stack
	store, err := deadletter.SQL(h.DB, deadletter.SQLConfig{Dialect: h.dialect, Schema: s.Schema, Prefix: s.Prefix})
	if err != nil {
		h.tb.Fatalf("sluicegatetest: %v", err)
	}
	list, err := store.List(context.Background(), deadletter.Filter{})
	if err != nil {
		h.tb.Fatalf("sluicegatetest: %v", err)
	}
	return list
}
