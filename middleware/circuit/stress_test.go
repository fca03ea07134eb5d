package circuit_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

// Real goroutines on the real clock, for the race detector: outages come and go,
// contexts end, somebody looks, and nobody is left waiting.
func TestNothingIsLeftBehindWhenEverythingHappensAtOnce(t *testing.T) {
	cfg := circuit.Config{
		FirstPause: time.Millisecond, MaxPause: 4 * time.Millisecond, MaxWait: 5 * time.Millisecond, Probes: 2, Keys: 2, Successes: 2,
	}
	var away atomic.Bool
	var running atomic.Int64
	r := newRig(t, cfg, func(msg *message.Message) error {
		running.Add(1)
		defer running.Add(-1)
		if rand.N(3) == 0 {
			circuit.Uses(msg.Context(), "bank")
		}
		if away.Load() {
			return errBoom
		}
		return nil
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == 0 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				_ = r.deliverOn(ctx, strconv.Itoa(i*1000+n%50))
				cancel()
				if n%10 == 0 {
					away.Store(rand.N(2) == 0)
					r.c.Snapshot()
				}
			}
		})
	}
	all.Wait()
	away.Store(false)
	for range 1000 {
		closed := true
		for _, s := range r.c.Snapshot() {
			if s.Waiting != 0 {
				t.Fatalf("somebody waits: %+v", s)
			}
			closed = closed && s.State == circuit.Closed
		}
		if closed {
			break
		}
		_ = r.deliver("good")
	}
	for _, s := range r.c.Snapshot() {
		if s.State != circuit.Closed && s.Dependency == "" || running.Load() != 0 {
			t.Errorf("%+v, %d run", s, running.Load())
		}
	}
}

// BenchmarkClosed is what a message pays that succeeds.
func BenchmarkClosed(b *testing.B) {
	c, err := circuit.New(circuit.Config{})
	if err != nil {
		b.Fatal(err)
	}
	h := c.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	msg := message.NewMessage("1", nil)
	msg.SetContext(delivery.With(b.Context(), &delivery.Delivery{Handler: "stock", Consumer: "shop"}))
	b.Run("in a chain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = h(msg)
		}
	})
	b.Run("side by side", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			own := msg.Copy()
			own.SetContext(delivery.With(context.Background(), &delivery.Delivery{Handler: "stock", Consumer: "shop"}))
			for pb.Next() {
				_, _ = h(own)
			}
		})
	})
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		own := message.NewMessage("1", nil)
		for b.Loop() {
			_, _ = h(own)
		}
	})
	b.Run("the handler without it", func(b *testing.B) {
		b.ReportAllocs()
		plain := message.HandlerFunc(func(*message.Message) ([]*message.Message, error) { return nil, nil })
		for b.Loop() {
			_, _ = plain(msg)
		}
	})
}

func TestTheClosedPathAllocatesNothing(t *testing.T) {
	c, err := circuit.New(circuit.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	msg := message.NewMessage("1", nil)
	msg.SetContext(delivery.With(t.Context(), &delivery.Delivery{Handler: "stock", Consumer: "shop"}))
	if n := testing.AllocsPerRun(100, func() { _, _ = h(msg) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
