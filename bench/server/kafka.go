package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Kafka is a Kafka cluster.
type Kafka struct {
	Brokers []string
	URL     string

	client sarama.Client
	admin  sarama.ClusterAdmin
}

// ParseKafka checks rawURL and returns the brokers that it names.
func ParseKafka(rawURL string) ([]string, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "kafka" || u.Host == "" {
		return nil, errors.New("want kafka://host:port or kafka://host:port,host:port")
	}
	return strings.Split(u.Host, ","), nil
}

// OpenKafka connects.
func OpenKafka(rawURL string) (*Kafka, error) {
	brokers, err := ParseKafka(rawURL)
	if err != nil {
		return nil, err
	}
	config := sarama.NewConfig()
	config.ClientID = "sluicegate-bench"
	config.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(brokers, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to Kafka: %w", err), client.Close())
	}
	return &Kafka{Brokers: brokers, URL: rawURL, client: client, admin: admin}, nil
}

// Close closes the connections.
func (k *Kafka) Close() error { return k.admin.Close() } // closes the client too

// Scratch makes a topic of one partition. The function deletes it.
func (k *Kafka) Scratch(ctx context.Context) (string, func() error, error) {
	topic := Name()
	if err := k.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		return "", nil, fmt.Errorf("create topic: %w", err)
	}
	drop := func() error { return k.admin.DeleteTopic(topic) }
	// The topic exists when its leader answers.
	for {
		err := k.client.RefreshMetadata(topic)
		if err == nil {
			_, err = k.Delivered(topic)
		}
		if err == nil {
			return topic, drop, nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return "", nil, errors.Join(fmt.Errorf("wait for topic: %w", err), drop())
		}
	}
}

// Delivered returns how many records the topic holds.
func (k *Kafka) Delivered(topic string) (int64, error) {
	return k.client.GetOffset(topic, 0, sarama.OffsetNewest)
}

// Await returns when the topic holds n records. It looks often enough to be
// wrong by half a percent at most, and no more often, so as not to load what
// it measures.
func (k *Kafka) Await(ctx context.Context, topic string, n int64) error {
	start := time.Now()
	for {
		have, err := k.Delivered(topic)
		if err != nil {
			return fmt.Errorf("read high watermark: %w", err)
		}
		if have >= n {
			return nil
		}
		if err := wait(ctx, min(max(time.Since(start)/200, time.Millisecond), 50*time.Millisecond)); err != nil {
			return fmt.Errorf("%d of %d records after %v: %w", have, n, time.Since(start).Round(time.Millisecond), err)
		}
	}
}

// Read calls each with every record that the topic holds now, in order.
func (k *Kafka) Read(ctx context.Context, topic string, each func(value []byte)) error {
	end, err := k.Delivered(topic)
	if err != nil || end == 0 {
		return err
	}
	consumer, err := sarama.NewConsumerFromClient(k.client)
	if err != nil {
		return fmt.Errorf("read topic: %w", err)
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return fmt.Errorf("read topic: %w", err)
	}
	defer func() { _ = partition.Close() }() // what was read was read
	for {
		select {
		case m := <-partition.Messages():
			each(m.Value)
			if m.Offset >= end-1 {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("read topic: %w", ctx.Err())
		}
	}
}

// Settings returns lines about the cluster and its durability.
func (k *Kafka) Settings() ([]string, error) {
	out := []string{fmt.Sprintf("brokers=%d", len(k.client.Brokers())), "partitions=1", "replication=1"}
	id, err := k.client.Controller()
	if err != nil {
		return nil, fmt.Errorf("find controller: %w", err)
	}
	entries, err := k.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource, Name: fmt.Sprint(id.ID())})
	if err != nil {
		return nil, fmt.Errorf("read broker settings: %w", err)
	}
	for _, e := range entries {
		switch e.Name {
		case "log.flush.interval.messages", "min.insync.replicas", "compression.type":
			out = append(out, e.Name+"="+e.Value)
		}
	}
	return out, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
