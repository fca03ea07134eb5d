package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// maxName is the length of AMQP's short strings. The client library cuts off
// what is longer without a word.
const maxName = 255

// deliveryLimit of quorum queues: see the package comment.
const deliveryLimit = 1_000_000

// errSetup is what only a person can set right.
var errSetup = errors.New("rabbitmq's setup does not fit")

// queueName is watermill-amqp's GenerateQueueNameTopicNameWithSuffix.
func queueName(topic, group string) string { return topic + "_" + group }

// checkTopic refuses names that no exchange can have.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("topic name is empty")
	case len(topic) > maxName:
		return errors.New("topic name is longer than 255 bytes")
	case strings.HasPrefix(topic, "amq."):
		return errors.New(`topic name begins with "amq.", which RabbitMQ keeps for itself`)
	case strings.ContainsAny(topic, "\r\n"):
		return errors.New("topic name has a line break")
	}
	return nil
}

func checkGroup(topic, group string) error {
	if len(queueName(topic, group)) > maxName {
		return errors.New("topic and group are longer than 254 bytes together, the limit of the queue's name")
	}
	return nil
}

// claimQueue refuses a second pair of topic and group with the same queue name:
// the queue would be bound to both topics.
func (d *driver) claimQueue(topic, group string) error {
	name, pair := queueName(topic, group), topicName{topic, group}
	d.mu.Lock()
	defer d.mu.Unlock()
	if other, taken := d.queues[name]; taken && other != pair {
		return fmt.Errorf("topic %q with group %q and topic %q with group %q would share the queue %q: rename a group",
			topic, group, other.topic, other.group, name)
	}
	d.queues[name] = pair
	return nil
}

func (d *driver) arguments() amqp091.Table {
	args := amqp091.Table{}
	if d.single {
		args[amqp091.SingleActiveConsumerArg] = true
	}
	if d.quorum {
		args[amqp091.QueueTypeArg] = amqp091.QueueTypeQuorum
		args["x-delivery-limit"] = int32(deliveryLimit)
	}
	return args
}

// Initialize makes the topic and the group's queue exist.
func (d *driver) Initialize(ctx context.Context, topic, group string) error {
	if err := errors.Join(checkTopic(topic), checkGroup(topic, group)); err != nil {
		return failure.Permanent(err)
	}
	if err := d.claimQueue(topic, group); err != nil {
		return failure.Permanent(err)
	}
	l, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer l.leave()
	defer context.AfterFunc(ctx, l.cut)()
	return d.declareGroup(ctx, l, topic, group)
}

// declareTopic makes the exchange exist, and the groups that the URL names.
func (d *driver) declareTopic(ctx context.Context, l *link, topic string) error {
	err := d.onChannel(ctx, l, fmt.Sprintf("topic %q", topic), func(ch *amqp091.Channel) error {
		if !d.declare {
			return ch.ExchangeDeclarePassive(topic, amqp091.ExchangeFanout, true, false, false, false, nil)
		}
		return ch.ExchangeDeclare(topic, amqp091.ExchangeFanout, true, false, false, false, nil)
	})
	for _, group := range d.groups[topic] {
		if err == nil {
			err = d.declareGroup(ctx, l, topic, group)
		}
	}
	return err
}

// declareGroup makes the exchange, the queue and the binding exist.
func (d *driver) declareGroup(ctx context.Context, l *link, topic, group string) error {
	queue := queueName(topic, group)
	return d.onChannel(ctx, l, fmt.Sprintf("group %q of topic %q", group, topic), func(ch *amqp091.Channel) error {
		if !d.declare {
			_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			return err
		}
		if err := ch.ExchangeDeclare(topic, amqp091.ExchangeFanout, true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(queue, true, false, false, false, d.arguments()); err != nil {
			return err
		}
		return ch.QueueBind(queue, "", topic, false, nil)
	})
}

// onChannel runs declare on a channel of its own, since RabbitMQ closes the
// channel where it refuses something.
func (d *driver) onChannel(ctx context.Context, l *link, what string, declare func(*amqp091.Channel) error) error {
	ch, err := l.Channel()
	if err != nil {
		return away(ctx, err)
	}
	if err = declare(ch); err == nil {
		err = ch.Close()
	}
	return explain(ctx, what, err)
}

// explain turns an exception of RabbitMQ into an error that says what a person
// can do, or one that is marked unavailable where nobody need do anything.
func explain(ctx context.Context, what string, err error) error {
	var exception *amqp091.Error
	switch {
	case err == nil, errors.Is(err, errSetup), failure.IsUnavailable(err): // or has been explained
		return err
	case !errors.As(err, &exception):
		return away(ctx, err)
	}
	switch exception.Code {
	case amqp091.AccessRefused:
		return fmt.Errorf("%w: %s: %s; give the user the permission, or make it by hand and set declare=false", errSetup, what, exception.Reason)
	case amqp091.PreconditionFailed:
		return fmt.Errorf("%w: %s: %s; RabbitMQ does not change what exists: set consumer and queue_type as they were, set declare=false, or delete it once it is empty",
			errSetup, what, exception.Reason)
	case amqp091.NotFound:
		return fmt.Errorf("%w: %s: %s; make it by hand, or set declare=true", errSetup, what, exception.Reason)
	case amqp091.ResourceLocked, amqp091.NotAllowed, amqp091.NotImplemented:
		return fmt.Errorf("%w: %s: %s", errSetup, what, exception.Reason)
	}
	return away(ctx, err)
}
