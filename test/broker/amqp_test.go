package broker_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/amqp"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	"github.com/sluicegate/sluicegate/internal/header"
)

// amqpURL returns the URL of the real RabbitMQ, with parameters added, or skips.
func amqpURL(t testing.TB, params string) string {
	t.Helper()
	url := os.Getenv("AMQP_URL")
	if url == "" {
		t.Skip("AMQP_URL is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	if params == "" {
		return url
	}
	return url + "?" + params
}

func openAMQP(t testing.TB, params string) *broker.Broker {
	t.Helper()
	return openURL(t, amqpURL(t, params))
}

func openURL(t testing.TB, url string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), url, broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func amqpCapabilities() broker.Capabilities {
	return broker.Capabilities{
		Driver: "amqp", Order: broker.OrderByKey, Groups: true, KeyConcurrency: true,
		Persistent: true, SplitProcesses: true,
		RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
	}
}

func TestAMQPKeepsItsGuarantees(t *testing.T) {
	shared := amqpCapabilities()
	shared.Order = broker.OrderNone
	for params, declared := range map[string]broker.Capabilities{
		"consumer=single":                    amqpCapabilities(),
		"consumer=single&queue_type=quorum":  amqpCapabilities(),
		"consumer=shared&queue_type=classic": shared,
	} {
		t.Run(params, func(t *testing.T) {
			raw := amqpURL(t, "max_message_bytes=1000000&nack_delay_max=200ms&"+params)
			brokertest.Run(t, brokertest.Harness{
				Used:         sweep(t),
				URL:          func(brokertest.T) string { return raw },
				Declared:     declared,
				Foreign:      foreignAMQP,
				Patience:     30 * time.Second,
				Quiet:        200 * time.Millisecond,
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}

func TestAMQPPassesWatermillsOwnSuite(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
			url := amqpURL(t, "consumer=shared")
			brokertest.Watermill(t, url, tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				Persistent:          true,
				ForceShort:          true,
			}, sweep(t))
		})
	}
}

func TestAMQPPassesWatermillsOwnSuiteInOrderWithASingleActiveConsumer(t *testing.T) {
	url := amqpURL(t, "concurrency=1")
	brokertest.Watermill(t, url, tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		ForceShort:                          true,
	}, sweep(t))
}

// plainAMQP connects with a plain client.
func plainAMQP(t brokertest.T) *amqp091.Connection {
	t.Helper()
	conn, err := amqp091.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		t.Fatalf("plain client: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func plainChannel(t brokertest.T) *amqp091.Channel {
	t.Helper()
	ch, err := plainAMQP(t).Channel()
	if err != nil {
		t.Fatalf("plain client: %v", err)
	}
	return ch
}

// foreignAMQP publishes with a plain client. The key is where ours would put
// it; a header that is there twice is a list, as AMQP has no such thing.
func foreignAMQP(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
	table := amqp091.Table{}
	if key != nil {
		table[header.Key] = string(key)
	}
	for _, h := range headers {
		if before, twice := table[string(h.Key)]; twice {
			table[string(h.Key)] = []any{before, string(h.Value)}
			continue
		}
		table[string(h.Key)] = string(h.Value)
	}
	ch := plainChannel(t)
	if err := ch.Confirm(false); err != nil {
		t.Fatalf("foreign publisher: %v", err)
	}
	confirm, err := ch.PublishWithDeferredConfirm(topic, "", true, false, amqp091.Publishing{Headers: table, Body: value})
	if err != nil || !confirm.Wait() {
		t.Fatalf("foreign message: %v", err)
	}
}

// sweep deletes, at the end, the queues and exchanges that it is told of.
func sweep(t *testing.T) (used func(topic, group string)) {
	t.Helper()
	var mu sync.Mutex
	var queues, exchanges []string
	t.Cleanup(func() {
		conn, err := amqp091.Dial(os.Getenv("AMQP_URL"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range queues {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				t.Error(err)
			}
		}
		for _, name := range exchanges {
			if err := ch.ExchangeDelete(name, false, false); err != nil {
				t.Error(err)
			}
		}
	})
	return func(topic, group string) {
		mu.Lock()
		defer mu.Unlock()
		queues, exchanges = append(queues, topic+"_"+group), append(exchanges, topic)
	}
}
