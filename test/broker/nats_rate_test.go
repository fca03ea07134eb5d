package broker_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// TestNATSRates tells how fast batches of 1000 in two lanes are published, by
// the raw client and by us, and consumed. Set SLUICEGATE_RATES to run it.
func TestNATSRates(t *testing.T) {
	if os.Getenv("SLUICEGATE_RATES") == "" {
		t.Skip("SLUICEGATE_RATES is not set")
	}
	const n, lanes, size = 200_000, 2, 1000
	js := natsClient(t)
	rate := func(name string, batch func(lane, from int)) {
		began := time.Now()
		var all sync.WaitGroup
		for lane := range lanes {
			all.Go(func() {
				for from := 0; from < n/lanes; from += size {
					batch(lane, from)
				}
			})
		}
		all.Wait()
		t.Logf("%-32s %8.0f/s", name, n/time.Since(began).Seconds())
	}
	for range 3 {
		topic := natsTopic(t)
		rate("raw client, PublishMsgAsync", func(lane, from int) {
			futures := make([]jetstream.PubAckFuture, size)
			for i := range futures {
				h := nats.Header{"_watermill_message_uuid": {fmt.Sprintf("%030d-%d", from+i, lane)}, "type": {"a"}, "tenant": {"b"}, header.Key: {fmt.Sprint(i)}}
				var err error
				if futures[i], err = js.PublishMsgAsync(&nats.Msg{Subject: topic, Header: h, Data: make([]byte, 256)}); err != nil {
					t.Error(err)
				}
			}
			for _, f := range futures {
				select {
				case <-f.Ok():
				case err := <-f.Err():
					t.Error(err)
				}
			}
		})
		for name, params := range map[string]string{"ours, atomic batches": "client_name=atomic", "ours, waves of 1000 keys": ""} {
			b, topic := openNATS(t, params), natsTopic(t)
			keys := size
			if params != "" {
				keys = 10
			}
			rate(name, func(lane, from int) {
				batch := make([]broker.Outgoing, size)
				for i := range batch {
					msg := message.NewMessage(fmt.Sprintf("%030d-%d", from+i, lane), make([]byte, 256))
					msg.Metadata = message.Metadata{"type": "a", "tenant": "b", header.Key: fmt.Sprint(i % keys)}
					batch[i] = broker.Outgoing{Topic: topic, Message: msg}
				}
				if results := b.PublishBatch(t.Context(), batch); results != nil {
					t.Error(results[0])
				}
			})
			if params == "" {
				ch := subscribe(t, b.Group("g"), topic)
				next(t, ch).Ack()
				began := time.Now()
				for range n - 1 {
					(<-ch).Ack()
				}
				t.Logf("%-32s %8.0f/s", "consumed, async acks", n/time.Since(began).Seconds())
			}
		}
	}
}
