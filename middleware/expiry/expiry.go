package expiry

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/header"
)

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on the handler's
// goroutine and must neither block nor panic.
type Observer = event.Observer

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Record is called with the message's context before an expired message is acked; its
	// error is returned, and the message is not acked then. Default: nothing is
	// recorded.
	Record func(ctx context.Context) error
	// Observe is told Expired for each message that was not handled. Default:
	// nobody.
	Observe Observer
}

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine; every Config is valid.
func New(cfg Config) (message.HandlerMiddleware, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			if msg.Metadata[header.ExpiresAt] == "" || !header.Expired(msg.Metadata, cfg.Now()) { // most have none, and need no clock
				return next(msg)
			}
			d, undo := delivery.Ensure(msg)
			defer undo()
			d.Expire()
			if cfg.Record != nil {
				if err := cfg.Record(msg.Context()); err != nil {
					return nil, fmt.Errorf("record that a message has expired: %w", err)
				}
			}
			cfg.Observe.Emit(Event{Kind: event.Expired, Handler: d.Scope(), Topic: d.Topic, Key: d.Key(), MessageID: msg.UUID})
			return nil, nil
		}
	}, nil
}
