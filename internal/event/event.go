// Package event is what the middlewares and the relay tell an observer:
// facts after they are true, for counters, logs and tests.
package event

import "time"

// Kind says what happened.
type Kind string

// The kinds.
const (
	// Retried: an attempt failed and another one follows after Delay.
	Retried Kind = "retried"
	// Duplicate: a message whose effect exists already was acknowledged.
	Duplicate Kind = "duplicate"
	// Busy: another delivery of the same key is being handled; the message goes back.
	Busy Kind = "busy"
	// Takeover: an attempt began on a record whose former owner's lease ended.
	Takeover Kind = "takeover"
	// LeaseLost: the record was taken by another owner while the handler ran.
	LeaseLost Kind = "lease_lost"
	// Republished: the stored outputs of a message were published again.
	Republished Kind = "republished"
	// DeadLettered: a message was stored as a dead letter.
	DeadLettered Kind = "dead_lettered"
	// Returned: a message went back to the broker without spending an attempt.
	Returned Kind = "returned"
	// Unmarked: the handler's effect is there, but its record could not be
	// marked before the lease ended; a later redelivery would run again.
	Unmarked Kind = "unmarked"
	// Parked: a message was stored, to be tried again after Delay; Attempt is 0
	// where none was made, because a dependency was away or another message of its
	// ordering key is parked.
	Parked Kind = "parked"
	// Resumed: a parked message is given to its handler again, as Attempt.
	Resumed Kind = "resumed"
	// Split: a batch failed and was rolled back; its messages are handled one by one.
	Split Kind = "split"
	// CircuitOpened: a dependency of a handler fails for several keys; its
	// messages wait until probes succeed.
	CircuitOpened Kind = "circuit_opened"
	// CircuitClosed: probes have succeeded; the handler's messages go on.
	CircuitClosed Kind = "circuit_closed"
	// Expired: a message whose time was over was acknowledged without being handled.
	Expired Kind = "expired"
	// Handled: the handler's effect is committed, or marked done.
	Handled Kind = "handled"
)

// Event is one fact. Payload and metadata values are never part of it.
type Event struct {
	Kind      Kind
	Handler   string        // consumer and handler, as in the inbox
	Topic     string        // topic of the message
	Key       string        // idempotency key, where it is known
	MessageID string        // Watermill's UUID
	Attempt   int           // 1 for the first attempt, 0 where none was made
	Delay     time.Duration // Retried, Parked: the true delay before the next attempt
	Err       error         // what failed, where something did

	Dependency string // CircuitOpened, CircuitClosed: its name; empty: the handler as a whole
}

// Observer receives events. It is called on the handler's goroutine and must
// neither block nor panic. A nil Observer is silent.
type Observer func(Event)

// Emit calls o unless it is nil.
func (o Observer) Emit(e Event) {
	if o != nil {
		o(e)
	}
}
