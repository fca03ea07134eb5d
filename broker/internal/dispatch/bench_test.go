package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
)

// BenchmarkDispatch adds messages of 1,000 keys, each answered at once: by the
// reader itself, or in a goroutine of its own as Watermill's router does it.
func BenchmarkDispatch(b *testing.B) {
	keys := make([]item, 1000)
	for i := range keys {
		keys[i].key = fmt.Sprintf("key-%d", i)
	}
	for _, own := range []bool{false, true} {
		b.Run(fmt.Sprintf("goroutines=%t", own), func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(b.Context())
			out := make(chan *message.Message, 1024)
			acked := make(chan struct{}, 1024)
			d := dispatch.New(ctx, out, dispatch.Handlers[item]{
				Key:     func(i item) string { return i.key },
				Message: func(item) *message.Message { return message.NewMessage("", nil) },
				Acked:   func(item) { acked <- struct{}{} },
			}, dispatch.Config{Concurrency: 64, Queue: 2000, Backoff: redelivery.Backoff{First: time.Second, Max: time.Second}})
			go func() {
				for i := range b.N {
					d.Add(keys[i%len(keys)])
				}
			}()
			go func() {
				for range b.N {
					msg := <-out
					if own {
						go msg.Ack()
					} else {
						msg.Ack()
					}
				}
			}()
			for range b.N {
				<-acked
			}
			cancel()
			d.Close()
		})
	}
}
