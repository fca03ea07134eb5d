package amqp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// reconnect is the wait between attempts to reach a broker that is away.
var reconnect = redelivery.Backoff{First: 250 * time.Millisecond, Max: 5 * time.Second}

// Subscribe declares the group and consumes until ctx ends. Where RabbitMQ is
// away, it goes on in the background.
func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	if err := errors.Join(checkTopic(topic), checkGroup(topic, group)); err != nil {
		return nil, failure.Permanent(err)
	}
	if err := d.claimQueue(topic, group); err != nil {
		return nil, failure.Permanent(err)
	}
	out := make(chan *message.Message)
	s := &subscription{
		driver: d, topic: topic, group: group, out: out,
		logger: d.logger.With("topic", topic, "group", group),
	}
	m, err := s.join(ctx)
	if errors.Is(err, errSetup) {
		return nil, err
	}
	go func() {
		defer close(out)
		s.run(ctx, m, err)
	}()
	return out, nil
}

type subscription struct {
	*driver
	topic, group string
	out          chan<- *message.Message
	logger       *slog.Logger
}

// member is one connection of a subscription.
type member struct {
	link       *link
	ch         *amqp091.Channel
	deliveries <-chan amqp091.Delivery
	closed     chan *amqp091.Error
}

// run consumes until ctx ends, with the member that joined, or after err.
func (s *subscription) run(ctx context.Context, m *member, err error) {
	for failures := 0; ; {
		if err == nil {
			if failures > 0 {
				s.logger.Info("rabbitmq subscription goes on")
			}
			failures = 0
			err = s.consume(ctx, m)
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		wait := reconnect.Delay(failures)
		level := slog.LevelDebug
		if failures == 1 {
			level = slog.LevelWarn
		}
		s.logger.Log(ctx, level, "rabbitmq subscription interrupted, will go on", "err", err, "wait", wait)
		if backoff.Wait(ctx, wait) != nil {
			return
		}
		m, err = s.join(ctx)
	}
}

// join declares the group and begins to consume.
func (s *subscription) join(ctx context.Context) (*member, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(s.addrs)+1)*s.dialTimeout)
	defer cancel()
	l, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, l.cut)()
	m := &member{link: l}
	if err = s.declareGroup(ctx, l, s.topic, s.group); err == nil {
		err = m.begin(s.driver, queueName(s.topic, s.group))
	}
	if err != nil {
		l.leave()
		return nil, explain(ctx, "subscription", err)
	}
	return m, nil
}

func (m *member) begin(d *driver, queue string) (err error) {
	if m.ch, err = m.link.Channel(); err != nil {
		return err
	}
	m.closed = m.ch.NotifyClose(make(chan *amqp091.Error, 1))
	if err = m.ch.Qos(d.prefetch, 0, false); err != nil {
		return err
	}
	m.deliveries, err = m.ch.Consume(queue, "", false, false, false, false, nil)
	return err
}

// delivery is a message on its way, and what ends the context of its attempt.
type delivery struct {
	amqp091.Delivery
	end context.CancelFunc
}

// attempt makes a message whose context ends with its Ack or the next attempt.
func (d *delivery) attempt(claim context.Context) *message.Message {
	if d.end != nil {
		d.end()
	}
	msg := unmarshal(&d.Delivery)
	var ctx context.Context
	ctx, d.end = context.WithCancel(claim)
	msg.SetContext(ctx)
	return msg
}

// consume delivers what comes until the connection or ctx ends. What was not
// acked by then goes back to its place in the queue as the channel closes.
func (s *subscription) consume(ctx context.Context, m *member) error {
	claim, end := context.WithCancel(ctx)
	defer end()
	lanes := dispatch.New(claim, s.out, dispatch.Handlers[*delivery]{
		Key:     func(d *delivery) string { return keyOf(&d.Delivery) },
		Message: func(d *delivery) *message.Message { return d.attempt(claim) },
		Acked: func(d *delivery) {
			d.end()
			// An error means that the channel has ended, and with it the claim.
			_ = m.ch.Ack(d.DeliveryTag, false)
		},
	}, s.delivery)
	for open := true; open; {
		var d delivery
		select {
		case d.Delivery, open = <-m.deliveries:
			open = open && lanes.Add(&d)
		case <-ctx.Done():
			open = false
		}
	}
	end()
	lanes.Close()
	timer := time.AfterFunc(leaveGrace, m.link.cut)
	_ = m.ch.Close() // waits until the acks before it were read
	timer.Stop()
	m.link.leave()
	if exception := <-m.closed; exception != nil {
		return exception
	}
	return errors.New("rabbitmq ended the deliveries: was the queue deleted?")
}
