package outputs

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
)

// Executor is the open transaction that the outbox writes in; *sql.Tx is one.
type Executor = dbtx.Executor

// Box is the outbox; *forwarder.Outbox is one.
type Box interface {
	// Publish writes msgs, in their order, in the transaction tx.
	Publish(ctx context.Context, tx Executor, topic string, msgs ...*message.Message) error
}

// ErrNoTransaction says that the context of the message carries no transaction.
var ErrNoTransaction = errors.New("no transaction in the message's context: the outbox belongs inside of one")

// OutboxConfig of Outbox. The zero value leaves the topics to To.
type OutboxConfig struct {
	// Topic of messages that nothing else names one for. Default none.
	Topic string
	// TopicFor names the topic of a produced message; "" leaves it to Topic.
	// Default none.
	TopicFor func(*message.Message) string
}

// Outbox returns a middleware that writes what the inner layers return to box,
// in the transaction which the message's context then carries, and returns no
// messages. Where that fails it returns the error, and the transaction must
// roll back. It is safe for concurrent use and owns no goroutine.
func Outbox(box Box, cfg OutboxConfig) (message.HandlerMiddleware, error) {
	if box == nil {
		return nil, errors.New("configure outputs: box: is nil")
	}
	t := topics{fixed: cfg.Topic, by: cfg.TopicFor}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			d, undo := delivery.Ensure(msg)
			defer undo()
			ctx := msg.Context() // an inner layer may leave another one behind
			produced, err := h(msg)
			if err != nil || len(produced) == 0 {
				return nil, err
			}
			msg.SetContext(ctx)
			out, err := t.prepare(msg, d, produced)
			if err != nil {
				return nil, err
			}
			tx, ok := dbtx.From(ctx)
			if !ok {
				return nil, ErrNoTransaction
			}
			for len(out) > 0 {
				n := run(out)
				if err := box.Publish(ctx, tx, out[0].Topic, messages(out[:n])...); err != nil {
					return nil, fmt.Errorf("write outputs to the outbox: %w", err)
				}
				out = out[n:]
			}
			return nil, nil
		}
	}, nil
}
