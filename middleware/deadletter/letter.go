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
	// received it. The SQL store does not keep Subscriber.
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
