package consume

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/kafka" // kafka://
	"github.com/sluicegate/sluicegate/internal/header"
)

// topic is a filled one.
type topic struct {
	name    string
	brokers []string
	drop    func() error
}

func unique(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:12]) }

// fill makes a topic and publishes o.Messages to it. The payload begins with
// the number and the key of the message.
func fill(ctx context.Context, o Options) (*topic, error) {
	u, err := url.Parse(o.KafkaURL)
	if err != nil || u.Scheme != "kafka" || u.Host == "" {
		return nil, errors.New("want kafka://host:port")
	}
	t := &topic{name: unique("consume"), brokers: strings.Split(u.Host, ",")}
	admin, err := sarama.NewClusterAdmin(t.brokers, sarama.NewConfig())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	detail := &sarama.TopicDetail{NumPartitions: int32(o.Partitions), ReplicationFactor: -1} //nolint:gosec // small
	if err := admin.CreateTopic(t.name, detail, false); err != nil {
		return nil, errors.Join(fmt.Errorf("create: %w", err), admin.Close())
	}
	t.drop = func() error { return errors.Join(admin.DeleteTopic(t.name), admin.Close()) }
	if err := t.publish(ctx, o); err != nil {
		return nil, errors.Join(err, t.drop())
	}
	return t, nil
}

func (t *topic) publish(ctx context.Context, o Options) (err error) {
	b, err := broker.Open(ctx, "kafka://"+strings.Join(t.brokers, ","), broker.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	const lanes, size = 2, 2000
	problems := make([]error, lanes)
	var wg sync.WaitGroup
	for lane := range lanes { // a key in one lane
		wg.Go(func() {
			var batch []broker.Outgoing
			for seq := lane; seq < o.Messages && problems[lane] == nil; seq += lanes {
				batch = append(batch, broker.Outgoing{Topic: t.name, Message: newMessage(seq, seq%o.Keys)})
				if len(batch) == size || seq+lanes >= o.Messages {
					problems[lane] = errors.Join(b.PublishBatch(ctx, batch)...)
					batch = batch[:0]
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(problems...)
}

const payloadSize = 256

func newMessage(seq, key int) *message.Message {
	payload := make([]byte, payloadSize)
	binary.BigEndian.PutUint64(payload, uint64(seq))     //nolint:gosec // not negative
	binary.BigEndian.PutUint64(payload[8:], uint64(key)) //nolint:gosec // not negative
	msg := message.NewMessage(uuid.Must(uuid.NewV7()).String(), payload)
	msg.Metadata.Set("event_type", "orders.placed")
	msg.Metadata.Set("tenant", "tenant-7")
	msg.Metadata.Set("correlation_id", msg.UUID)
	msg.Metadata.Set(header.Key, fmt.Sprintf("order-%d", key))
	return msg
}

func place(payload []byte) (seq, key int) {
	return int(binary.BigEndian.Uint64(payload)), int(binary.BigEndian.Uint64(payload[8:])) //nolint:gosec // as written
}
