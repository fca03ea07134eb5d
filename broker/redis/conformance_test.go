package redis

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	"github.com/sluicegate/sluicegate/internal/header"
)

// The real server's turn is in module test/.
func TestTheGuaranteesAreKeptOnAStandIn(t *testing.T) {
	for order, declared := range map[string]broker.Order{"key": broker.OrderByKey, "none": broker.OrderNone} {
		t.Run("order="+order, func(t *testing.T) {
			server := miniredis.RunT(t)
			client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
			t.Cleanup(func() { _ = client.Close() })
			brokertest.Run(t, brokertest.Harness{
				URL: func(brokertest.T) string { return "redis://" + server.Addr() + "?nack_delay_max=200ms&order=" + order },
				Declared: broker.Capabilities{
					Driver: "redis", Order: declared, Groups: true, KeyConcurrency: true, OldMessages: true,
					Persistent: true, SplitProcesses: true,
					RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
				},
				Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
					if key != nil {
						headers = append(headers, brokertest.Header{Key: []byte(header.Key), Value: key})
					}
					packed := binary.BigEndian.AppendUint16([]byte{0xde}, uint16(len(headers)))
					for _, h := range headers {
						packed = appendText(appendText(packed, string(h.Key)), string(h.Value))
					}
					err := client.Do(t.Context(), "xadd", topic, "*", fieldPayload, value, fieldMetadata, packed).Err()
					if err != nil {
						t.Fatalf("foreign entry: %v", err)
					}
				},
				Quiet:        200 * time.Millisecond,
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}
