// Package batch is the seam between the relay and a broker: many messages,
// each with its topic, in one call, with a result for each.
package batch

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Outgoing is one message on its way to a topic. Its partition key, if any,
// is in the message's metadata under header.Key.
type Outgoing struct {
	Topic   string
	Message *message.Message
}

// Publisher publishes a batch.
type Publisher interface {
	// PublishBatch publishes msgs, in their order for each topic and key, and returns
	// after the broker has acknowledged or refused each of them, or ctx has
	// ended. A nil result means that every message was acknowledged;
	// otherwise the result has one element a message, nil where it was
	// acknowledged. An error marked by failure.Permanent says that this message can
	// never be published as it is; any other error says nothing about the message.
	// After an error of a message that is not permanent, no later message of
	// the same topic and key in the batch may have been acknowledged, unless the
	// driver declares that it does not keep order by key.
	PublishBatch(ctx context.Context, msgs []Outgoing) []error
}

// Checker is implemented by publishers that can tell whether the broker can
// be reached right now.
type Checker interface {
	Check(ctx context.Context) error
}
