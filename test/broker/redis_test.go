package broker_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	_ "github.com/sluicegate/sluicegate/broker/redis"
	"github.com/sluicegate/sluicegate/internal/header"
)

// redisServer returns the address of the real Redis with a database that
// nobody else uses meanwhile, empty, and a client of it; or skips.
func redisServer(t *testing.T) (url string, client *goredis.Client) {
	t.Helper()
	raw := os.Getenv("REDIS_URL")
	if raw == "" {
		t.Skip("REDIS_URL is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	opts, err := goredis.ParseURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	for db := 1; db < 16; db++ {
		opts.DB = db
		client := goredis.NewClient(opts)
		got, err := client.SetNX(t.Context(), "sluicegate-test-owner", "1", 10*time.Minute).Result()
		if err != nil {
			t.Fatal(err)
		}
		if !got {
			_ = client.Close()
			continue
		}
		t.Cleanup(func() {
			_ = client.FlushDB(context.Background()).Err()
			_ = client.Close()
		})
		base, _, _ := strings.Cut(raw, "?")
		scheme, rest, _ := strings.Cut(base, "://")
		host, _, _ := strings.Cut(rest, "/")
		return fmt.Sprintf("%s://%s/%d", scheme, host, db), client
	}
	t.Fatal("every database of the server is in use")
	return "", nil
}

func openRedis(t *testing.T, url string) *broker.Broker {
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

// foreignRedis adds an entry as a program in another language might.
func foreignRedis(t brokertest.T, c *goredis.Client, topic string, key, value []byte, headers []brokertest.Header) {
	if key != nil {
		headers = append(headers, brokertest.Header{Key: []byte(header.Key), Value: key})
	}
	args := []any{"xadd", topic, "*", "payload", value}
	if len(headers) > 0 {
		packed := binary.BigEndian.AppendUint16([]byte{0xde}, uint16(len(headers)))
		for _, h := range headers {
			for _, b := range [][]byte{h.Key, h.Value} {
				packed = append(binary.BigEndian.AppendUint16(append(packed, 0xda), uint16(len(b))), b...)
			}
		}
		args = append(args, "metadata", packed)
	}
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("foreign entry: %v", err)
	}
}

func TestRedisKeepsItsGuarantees(t *testing.T) {
	for order, declared := range map[string]broker.Order{"key": broker.OrderByKey, "none": broker.OrderNone} {
		t.Run("order="+order, func(t *testing.T) {
			url, client := redisServer(t)
			brokertest.Run(t, brokertest.Harness{
				URL: func(brokertest.T) string { return url + "?nack_delay_max=200ms&order=" + order },
				Declared: broker.Capabilities{
					Driver: "redis", Order: declared, Groups: true, KeyConcurrency: true, OldMessages: true,
					Persistent: true, SplitProcesses: true,
					RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
				},
				Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
					foreignRedis(t, client, topic, key, value, headers)
				},
				Quiet:        200 * time.Millisecond,
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}

func TestRedisPassesWatermillsOwnSuite(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		for _, exactlyOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("order=%s/ExactlyOnceDelivery=%t", order, exactlyOnce), func(t *testing.T) {
				url, _ := redisServer(t)
				brokertest.Watermill(t, url+"?order="+order, tests.Features{
					ConsumerGroups:      true,
					ExactlyOnceDelivery: exactlyOnce,
					Persistent:          true,
					ForceShort:          true,
				})
			})
		}
	}
}

func redisPublished(t *testing.T, b *broker.Broker, topic string, msgs ...*message.Message) {
	t.Helper()
	if err := b.Publish(topic, msgs...); err != nil {
		t.Fatal(err)
	}
}
