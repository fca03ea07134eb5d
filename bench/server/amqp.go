package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/rabbitmq/amqp091-go"
)

// AMQP is a RabbitMQ server.
type AMQP struct {
	url     string
	conn    *amqp091.Connection
	channel *amqp091.Channel
}

// OpenAMQP connects.
func OpenAMQP(rawURL string) (*AMQP, error) {
	conn, err := amqp091.Dial(rawURL)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := conn.Channel()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open channel: %w", err), conn.Close())
	}
	return &AMQP{url: rawURL, conn: conn, channel: channel}, nil
}

// Close closes the connection.
func (a *AMQP) Close() error { return a.conn.Close() }

// Scratch makes a durable fanout exchange and a durable queue that is bound to
// it: the topology of watermill-amqp's durable Pub/Sub and of our driver.
func (a *AMQP) Scratch(context.Context) (*Topic, error) {
	name := Name()
	queue := name + "_bench"
	drop := func(context.Context) error {
		_, err := a.channel.QueueDelete(queue, false, false, false)
		return errors.Join(err, a.channel.ExchangeDelete(name, false, false))
	}
	err := a.channel.ExchangeDeclare(name, amqp091.ExchangeFanout, true, false, false, false, nil)
	if err == nil {
		_, err = a.channel.QueueDeclare(queue, true, false, false, false, nil)
	}
	if err == nil {
		err = a.channel.QueueBind(queue, "", name, false, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("declare queue: %w", err)
	}
	held := func(context.Context) (int64, error) {
		q, err := a.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		return int64(q.Messages), err
	}
	return &Topic{
		Name: name, URL: a.url, Held: held, Drop: drop,
		Read: func(ctx context.Context, each func([]byte)) error {
			n, err := held(ctx)
			if err != nil {
				return err
			}
			return a.read(ctx, queue, n, each)
		},
	}, nil
}

func (a *AMQP) read(ctx context.Context, queue string, n int64, each func([]byte)) error {
	const consumer = "bench"
	deliveries, err := a.channel.Consume(queue, consumer, true, true, false, false, nil)
	if err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	defer func() { _ = a.channel.Cancel(consumer, false) }() // what was read was read
	for range n {
		select {
		case d, more := <-deliveries:
			if !more {
				return errors.New("read queue: the channel was closed")
			}
			each(d.Body)
		case <-ctx.Done():
			return fmt.Errorf("read queue: %w", ctx.Err())
		}
	}
	return nil
}
