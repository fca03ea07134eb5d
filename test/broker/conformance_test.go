package broker_test

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
)

func TestKafkaKeepsItsGuarantees(t *testing.T) {
	for _, concurrency := range []int{64, 1} {
		t.Run(fmt.Sprintf("concurrency=%d", concurrency), func(t *testing.T) {
			raw := kafkaURL(t, fmt.Sprintf("partitions=4&commit_interval=100ms&concurrency=%d", concurrency))
			brokertest.Run(t, brokertest.Harness{
				URL: func(brokertest.T) string { return raw },
				Declared: broker.Capabilities{
					Driver: "kafka", Order: broker.OrderByKey, KeyConcurrency: concurrency > 1, Groups: true, OldMessages: true,
					Persistent: true, SplitProcesses: true,
					RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
				},
				Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
					foreign(t, topic, key, value, headers)
				},
				Patience:     30 * time.Second,
				Quiet:        500 * time.Millisecond,
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}

// brokers are the addresses in KAFKA_URL.
func brokers(t brokertest.T) []string {
	u, err := url.Parse(os.Getenv("KAFKA_URL"))
	if err != nil {
		t.Fatalf("KAFKA_URL: %v", err)
	}
	return []string{u.Host}
}

// foreign writes a record with a plain client.
func foreign(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Metadata.AllowAutoTopicCreation = true
	config.Metadata.Retry.Max = 20
	producer, err := sarama.NewSyncProducer(brokers(t), config)
	if err != nil {
		t.Fatalf("foreign producer: %v", err)
	}
	defer producer.Close()
	record := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(value)}
	if key != nil {
		record.Key = sarama.ByteEncoder(key)
	}
	for _, h := range headers {
		record.Headers = append(record.Headers, sarama.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if _, _, err := producer.SendMessage(record); err != nil {
		t.Fatalf("foreign record: %v", err)
	}
}

func TestKafkaPassesWatermillsOwnSuite(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
			brokertest.Watermill(t, kafkaURL(t, "partitions=4"), tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				Persistent:          true,
				ForceShort:          true,
			})
		})
	}
}

// NewSubscriberReceivesOldMessages means a second subscriber of the same group to
// Watermill. That a new group gets them is a case of our own suite.
func TestKafkaPassesWatermillsOwnSuiteInOrderOnOnePartition(t *testing.T) {
	brokertest.Watermill(t, kafkaURL(t, "partitions=1&concurrency=1"), tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		ForceShort:                          true,
	})
}
