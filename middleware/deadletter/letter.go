package deadletter

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

// Attempt is one call of the handler: number, start, duration and error text.
type Attempt = delivery.Record

// Letter is a message that was set aside.
type Letter struct {
	// ID is the store's, on reading; 0 on Put.
	ID int64
	// Consumer is the service's namespace, and Handler the Router's name of the
	// handler. Consumer may be empty.
	Consumer, Handler string
	// Topic is where the message was received, and Subscriber the type that
	// received it.
	Topic, Subscriber string
	// Key is the idempotency key; empty where no layer told it.
	Key string
	// Message is a copy with the UUID, the metadata and the bytes that were
	// received, whatever the layers inside did to them.
	Message *message.Message
	// Reason is the text of the error, shortened.
	Reason string
	// Err is the error itself on Put, and nil on reading.
	Err error
	// Attempts are all attempts of this delivery, oldest first; at least one.
	Attempts []Attempt
	// At is when the message was set aside: by this process's clock on Put, by
	// the store's on reading.
	At time.Time
	// Epoch counts the redrives that the message's inbox record had seen, and
	// Previous is the letter that it was redriven from before it failed again; 0
	// for none.
	Epoch, Previous int64

	// What follows is the store's, on reading.

	// Status is Dead or Redriven.
	Status Status
	// Group is the fingerprint of Reason: letters that differ in values alone
	// have the same. Empty for a letter of an older version, until Backfill.
	Group string
	// Redrive is the action that redrove it, and RedrivenAt when; 0 for none.
	Redrive    int64
	RedrivenAt time.Time
	// Edited is what was redriven in the place of Message; nil where that was
	// Message itself.
	Edited *Edit
	// Ref names the letter across databases; see Export. Empty for a letter of
	// an older version, until Backfill.
	Ref string
}

// Status is where a letter stands.
type Status string

// The statuses.
const (
	Dead      Status = "dead"     // waits for a decision
	Redriven  Status = "redriven" // was handed to its handler again
	AnyStatus Status = "any"      // in a Filter: all of them
)

// Edit is a changed message. Who redrives it keeps the original too.
type Edit struct {
	// Payload takes the place of the payload; nil leaves it.
	Payload []byte
	// Metadata takes the place of all the metadata; nil leaves it.
	Metadata message.Metadata
}

// Scope is consumer and handler in one: "shop/stock", or "stock" without a
// consumer.
func (l Letter) Scope() string {
	if l.Consumer == "" {
		return l.Handler
	}
	return l.Consumer + "/" + l.Handler
}

// Store keeps letters. It is safe for concurrent use.
type Store interface {
	// Put returns nil after l is stored durably, and an error where it is not or
	// may not be: the message is then delivered again. It must return when ctx
	// ends, and must not change l.
	Put(ctx context.Context, l Letter) error
}
