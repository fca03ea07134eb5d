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

// Scratch makes an empty topic of one partition.
func (k *Kafka) Scratch(ctx context.Context) (*Topic, error) { return k.Partitioned(ctx, 1) }

// Partitioned makes an empty topic. Held and Read look at its first partition.
func (k *Kafka) Partitioned(ctx context.Context, partitions int32) (*Topic, error) {
	name := Name()
	if err := k.admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		return nil, fmt.Errorf("create topic: %w", err)
	}
	topic := &Topic{
		Name: name, URL: k.URL,
		Held: func(context.Context) (int64, error) { return k.Delivered(name) },
		Read: func(ctx context.Context, each func([]byte)) error { return k.read(ctx, name, each) },
		Drop: func(context.Context) error { return k.admin.DeleteTopic(name) },
	}
	// The topic exists when its leader answers.
	for {
		err := k.client.RefreshMetadata(name)
		if err == nil {
			_, err = k.Delivered(name)
		}
		if err == nil {
			return topic, nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for topic: %w", err), topic.Drop(context.WithoutCancel(ctx)))
		}
	}
}

// Delivered returns how many records the topic holds.
func (k *Kafka) Delivered(topic string) (int64, error) {
	return k.client.GetOffset(topic, 0, sarama.OffsetNewest)
}

// read calls each with every record that the topic holds now, in order.
func (k *Kafka) read(ctx context.Context, topic string, each func(value []byte)) error {
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

// Follow subscribes to the first partition of an empty topic, closes
// subscribed, and calls each with every record until ctx ends.
func (k *Kafka) Follow(ctx context.Context, topic string, subscribed chan<- struct{}, each func(value []byte)) error {
	consumer, err := sarama.NewConsumerFromClient(k.client)
	if err != nil {
		return fmt.Errorf("follow topic: %w", err)
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest) // it is empty: so nothing is missed
	if err != nil {
		return fmt.Errorf("follow topic: %w", err)
	}
	defer func() { _ = partition.Close() }() // what was read was read
	close(subscribed)
	for {
		select {
		case m := <-partition.Messages():
			each(m.Value)
		case <-ctx.Done():
			return nil
		}
	}
}

// Settings returns lines about the cluster and its durability.
func (k *Kafka) Settings() ([]string, error) {
	out := []string{fmt.Sprintf("brokers=%d", len(k.client.Brokers())), "replication=1"}
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

// KafkaSettings asks the cluster at rawURL.
func KafkaSettings(_ context.Context, rawURL string) ([]string, error) {
	k, err := OpenKafka(rawURL)
	if err != nil {
		return nil, err
	}
	out, err := k.Settings()
	return out, errors.Join(err, k.Close())
}
