package sluicegate_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// handed is a subscriber whose one channel is filled by a benchmark.
type handed chan *message.Message

func (h handed) Subscribe(context.Context, string) (<-chan *message.Message, error) { return h, nil }

func (h handed) Close() error { return nil }

// perMessage has the router handle messages one after the other, each through
// the whole chain that install has put up.
func perMessage(b *testing.B, s *sluicegate.Stack, install func(r *message.Router, sub message.Subscriber) error) {
	b.Helper()
	r := newRouter(b)
	sub := make(handed)
	if err := install(r, sub); err != nil {
		b.Fatal(err)
	}
	stop := running(b, s, r)
	b.Cleanup(func() { close(sub); _ = stop() })
	var n atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		msg := message.NewMessage(strconv.FormatInt(n.Add(1), 10), nil)
		sub <- msg
		select {
		case <-msg.Acked():
		case <-msg.Nacked():
			b.Fatal("a message was nacked")
		}
	}
}

type noLetters struct{}

func (noLetters) Put(_ context.Context, l deadletter.Letter) error { return l.Err }

// BenchmarkChainMemory is a message through router and chain with the records in
// memory.
func BenchmarkChainMemory(b *testing.B) {
	s, err := sluicegate.New(nil, sluicegate.Config{Store: memorystore.New(), DeadLetters: noLetters{}})
	if err != nil {
		b.Fatal(err)
	}
	perMessage(b, s, func(r *message.Router, sub message.Subscriber) error {
		return s.HandleMessage(r, "stock", "orders", sub, "", func(*message.Message) ([]*message.Message, error) { return nil, nil })
	})
}

// BenchmarkChainSQL is a message through router and chain with its transaction,
// the record and an effect in it, on SQLite.
func BenchmarkChainSQL(b *testing.B) {
	db := openDB(b)
	s, err := sluicegate.New(db, sluicegate.Config{})
	if err != nil {
		b.Fatal(err)
	}
	perMessage(b, s, func(r *message.Router, sub message.Subscriber) error {
		return s.Handle(r, "stock", "orders", sub, insertEffect)
	})
}
