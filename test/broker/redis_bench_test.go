package broker_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

const redisBatch = 1000

func benchRedis(b *testing.B, params string) (*broker.Broker, *goredis.Client, string) {
	b.Helper()
	raw := os.Getenv("REDIS_URL")
	if raw == "" {
		b.Skip("REDIS_URL is not set")
	}
	opts, err := goredis.ParseURL(raw)
	if err != nil {
		b.Fatal(err)
	}
	c := goredis.NewClient(opts)
	base, _, _ := strings.Cut(raw, "?")
	ours, err := broker.Open(b.Context(), base+"?"+params, broker.Config{})
	if err != nil {
		b.Fatal(err)
	}
	topic := unique("bench")
	b.Cleanup(func() {
		_ = ours.Close()
		_ = c.Del(b.Context(), topic).Err()
		_ = c.Close()
	})
	return ours, c, topic
}

func redisBatchOf(topic string) []broker.Outgoing {
	batch := make([]broker.Outgoing, redisBatch)
	for i := range batch {
		msg := message.NewMessage(fmt.Sprintf("0190a6c2-7e5b-7cc3-9a52-%012d", i), make([]byte, 256))
		msg.Metadata.Set(header.Key, fmt.Sprintf("order-%d", i))
		batch[i] = broker.Outgoing{Topic: topic, Message: msg}
	}
	return batch
}

// redisLanes runs b.N batches in two lanes at once, as the relay does.
func redisLanes(b *testing.B, f func() error) {
	b.Helper()
	b.ReportAllocs()
	began := redisCPU(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for lane := range 2 {
		wg.Go(func() {
			for i := lane; i < b.N; i += 2 {
				if err := f(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	redisReport(b, began)
}

// redisCPU is the time that this process has worked, which says more than the
// rate where others work on the same machine.
func redisCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func redisReport(b *testing.B, began time.Duration) {
	b.Helper()
	n := float64(b.N * redisBatch)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((redisCPU(b)-began).Nanoseconds())/n, "client-ns/msg")
}

// BenchmarkRedisPublish compares PublishBatch of 1000 messages in two lanes
// with the plain client's pipeline of XADD.
func BenchmarkRedisPublish(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		ours, _, topic := benchRedis(b, "")
		batch := redisBatchOf(topic)
		redisLanes(b, func() error {
			for _, err := range ours.PublishBatch(b.Context(), batch) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("raw", func(b *testing.B) {
		_, c, topic := benchRedis(b, "")
		batch := redisBatchOf(topic)
		metadata := []byte("\x81\xaesluicegate_key\xa9order-123")
		redisLanes(b, func() error {
			pipe := c.Pipeline()
			for _, m := range batch {
				pipe.Do(b.Context(), "xadd", topic, "*", "_watermill_message_uuid", m.Message.UUID,
					"metadata", metadata, "payload", []byte(m.Message.Payload))
			}
			_, err := pipe.Exec(b.Context())
			return err
		})
	})
}

// BenchmarkRedisConsume is the rate of a subscription whose handler does
// nothing.
func BenchmarkRedisConsume(b *testing.B) {
	for _, order := range []string{"key", "none"} {
		b.Run("order="+order, func(b *testing.B) {
			ours, _, topic := benchRedis(b, "order="+order)
			batch := redisBatchOf(topic)
			for range b.N {
				if results := ours.PublishBatch(b.Context(), batch); results != nil {
					b.Fatal(results)
				}
			}
			b.ReportAllocs()
			began := redisCPU(b)
			b.ResetTimer()
			ch, err := ours.Group("g").Subscribe(b.Context(), topic)
			if err != nil {
				b.Fatal(err)
			}
			for range b.N * redisBatch {
				(<-ch).Ack()
			}
			b.StopTimer()
			redisReport(b, began)
		})
	}
}
