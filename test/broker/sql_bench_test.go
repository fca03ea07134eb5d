package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// sqlBatch makes messages of 256 bytes, a thousand keys in all.
func sqlBatch(topic string, lane, n int) []broker.Outgoing {
	payload := []byte(strings.Repeat("x", 256))
	batch := make([]broker.Outgoing, n)
	for i := range batch {
		msg := message.NewMessage(fmt.Sprintf("%d-%d", lane, i), payload)
		msg.Metadata.Set(header.Key, fmt.Sprintf("k%d-%d", lane, i%500))
		msg.Metadata.Set("type", "order.placed")
		msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		batch[i] = broker.Outgoing{Topic: topic, Message: msg}
	}
	return batch
}

// sqlPublish publishes n batches of 1000 from two lanes at once, as a relay does.
func sqlPublish(b *testing.B, br *broker.Broker, topic string, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for lane := range 2 {
		wg.Go(func() {
			batch := sqlBatch(topic, lane, 1000)
			for i := lane; i < n; i += 2 {
				for _, err := range br.PublishBatch(b.Context(), batch) {
					if err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func sqlGroups(b *testing.B, br *broker.Broker, topic string, n int) (groups []message.Subscriber) {
	b.Helper()
	for i := range n {
		g := br.Group(fmt.Sprint("group ", i))
		if err := g.(message.SubscribeInitializer).SubscribeInitialize(topic); err != nil { //nolint:errcheck // it is one
			b.Fatal(err)
		}
		groups = append(groups, g)
	}
	return groups
}

var sqlURLs = map[string]string{"PostgreSQL": "POSTGRES_URL", "MariaDB": "MYSQL_URL"}

// One iteration is a batch of 1000.
func BenchmarkSQLPublish(b *testing.B) {
	for name, variable := range sqlURLs {
		for _, groups := range []int{1, 3} {
			b.Run(fmt.Sprintf("%s/groups=%d", name, groups), func(b *testing.B) {
				br, topic := newSQLServer(b, variable).open(b, ""), unique("rate")
				sqlGroups(b, br, topic, groups)
				b.ResetTimer()
				sqlPublish(b, br, topic, b.N)
				b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "msgs/s")
			})
		}
	}
}

// One iteration is 1000 messages, for each group.
func BenchmarkSQLConsume(b *testing.B) {
	for name, variable := range sqlURLs {
		for _, groups := range []int{1, 3} {
			b.Run(fmt.Sprintf("%s/groups=%d", name, groups), func(b *testing.B) {
				br, topic := newSQLServer(b, variable).open(b, ""), unique("rate")
				members := sqlGroups(b, br, topic, groups)
				sqlPublish(b, br, topic, b.N)
				b.ResetTimer()
				var wg sync.WaitGroup
				for _, g := range members {
					ch, err := g.Subscribe(b.Context(), topic)
					if err != nil {
						b.Fatal(err)
					}
					wg.Go(func() {
						for range b.N * 1000 {
							(<-ch).Ack()
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "msgs/s")
			})
		}
	}
}
