package contender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// noOutbox is for what publishes from memory.
type noOutbox struct{}

func newNoOutbox(Place) Outbox { return noOutbox{} }

func (noOutbox) Prepare(context.Context, *sql.DB) error                 { return nil }
func (noOutbox) Write(context.Context, *sql.Tx, []workload.Keyed) error { return nil }

// rawAMQP publishes messages that it has in memory with RabbitMQ's own client:
// persistent, mandatory, a thousand at a time in each of two connections, whose
// confirms are waited for together. It is the limit of any relay.
type rawAMQP struct {
	place Place

	lanes [][]amqp091.Publishing // by key, so that order holds
	conns []*amqp091.Connection
}

func newRawAMQP(p Place) child.Task { return &rawAMQP{place: p} }

func (r *rawAMQP) Open(context.Context) error {
	r.lanes = make([][]amqp091.Publishing, rawLanes)
	for seq := range r.place.Messages {
		m, err := workload.New(seq, r.place.Payload)
		if err != nil {
			return err
		}
		headers := amqp091.Table{"_watermill_message_uuid": m.Message.UUID}
		for name, value := range m.Message.Metadata {
			headers[name] = value
		}
		lane := workload.KeyOf(seq) % rawLanes
		r.lanes[lane] = append(r.lanes[lane], amqp091.Publishing{Headers: headers, Body: m.Message.Payload, DeliveryMode: amqp091.Persistent})
	}
	for range rawLanes {
		conn, err := amqp091.Dial(r.place.BrokerURL)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		r.conns = append(r.conns, conn)
	}
	return nil
}

func (r *rawAMQP) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for i, conn := range r.conns {
		g.Go(func() error { return r.publish(gctx, conn, r.lanes[i]) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *rawAMQP) publish(ctx context.Context, conn *amqp091.Connection, msgs []amqp091.Publishing) error {
	channel, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := channel.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	for len(msgs) > 0 {
		batch := msgs[:min(rawBatch, len(msgs))]
		msgs = msgs[len(batch):]
		confirms := make([]*amqp091.DeferredConfirmation, len(batch))
		for i, m := range batch {
			if confirms[i], err = channel.PublishWithDeferredConfirmWithContext(ctx, r.place.Topic, "", true, false, m); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		for _, c := range confirms {
			if acked, err := c.WaitContext(ctx); err != nil || !acked {
				return errors.Join(errors.New("a message was not confirmed"), err)
			}
		}
	}
	return nil
}

func (r *rawAMQP) Close() (any, error) {
	var errs []error
	for _, conn := range r.conns {
		errs = append(errs, conn.Close())
	}
	return nil, errors.Join(errs...)
}
