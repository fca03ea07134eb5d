package broker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// rawRate is what the plain client does at its best: each lane publishes
// batches on a channel of its own and then waits for the deferred confirms.
func rawRate(t *testing.T, topic string, lanes, batches, size int) float64 {
	t.Helper()
	var channels []*amqp091.Channel
	for range lanes {
		ch := plainChannel(t)
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		channels = append(channels, ch)
	}
	return rate(t, lanes, batches, size, func(lane int, msgs []broker.Outgoing) error {
		confirms := make([]*amqp091.DeferredConfirmation, len(msgs))
		for i, m := range msgs {
			table := amqp091.Table{"_watermill_message_uuid": m.Message.UUID}
			for k, v := range m.Message.Metadata {
				table[k] = v
			}
			var err error
			confirms[i], err = channels[lane].PublishWithDeferredConfirm(topic, "", false, false,
				amqp091.Publishing{Headers: table, Body: m.Message.Payload, DeliveryMode: amqp091.Persistent})
			if err != nil {
				return err
			}
		}
		for _, c := range confirms {
			if !c.Wait() {
				return fmt.Errorf("not confirmed")
			}
		}
		return nil
	}, topic)
}

func ourRate(t *testing.T, b *broker.Broker, topic string, lanes, batches, size int) float64 {
	t.Helper()
	return rate(t, lanes, batches, size, func(_ int, msgs []broker.Outgoing) error {
		for _, err := range b.PublishBatch(t.Context(), msgs) {
			if err != nil {
				return err
			}
		}
		return nil
	}, topic)
}

// rate returns messages a second.
func rate(t *testing.T, lanes, batches, size int, publish func(int, []broker.Outgoing) error, topic string) float64 {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			msgs := make([]broker.Outgoing, size)
			for i := range msgs {
				msg := message.NewMessage(fmt.Sprintf("%d-%d", lane, i), make([]byte, 256))
				msg.Metadata.Set(header.Key, fmt.Sprintf("key-%d-%d", lane, i%100))
				msgs[i] = broker.Outgoing{Topic: topic, Message: msg}
			}
			for range batches {
				if err := publish(lane, msgs); err != nil {
					t.Errorf("lane %d: %v", lane, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(lanes*batches*size) / time.Since(start).Seconds()
}

func TestAMQPPublishesAsFastAsThePlainClient(t *testing.T) {
	b := openAMQP(t, "")
	topic, group := amqpTopic(t)
	initialize(t, b, topic, group)
	const lanes, batches, size = 2, 4, 1000
	ourRate(t, b, topic, lanes, 1, size) // connects
	var ours, raw []float64
	for range 3 {
		raw = append(raw, rawRate(t, topic, lanes, batches, size))
		purge(t, topic, group)
		ours = append(ours, ourRate(t, b, topic, lanes, batches, size))
		purge(t, topic, group)
	}
	t.Logf("PublishBatch of %d in %d lanes: plain client %.0f, ours %.0f messages/s", size, lanes, raw, ours)
	// Other work on the machine moves both; a confirm at a time would be a tenth.
	if slices.Max(ours) < slices.Max(raw)/2 {
		t.Error("less than half of the plain client's rate")
	}
}

func purge(t *testing.T, topic, group string) {
	t.Helper()
	if _, err := plainChannel(t).QueuePurge(topic+"_"+group, false); err != nil {
		t.Fatal(err)
	}
}
