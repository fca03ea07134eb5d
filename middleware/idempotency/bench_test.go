package idempotency_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// BenchmarkNew is what the middleware costs a message, on the memory store.
func BenchmarkNew(b *testing.B) {
	mw, err := idempotency.New(memorystore.New(), idempotency.Config{Handler: "h", Retention: 10 * time.Millisecond, RedeliveryHorizon: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	out := []*message.Message{message.NewMessage("out", message.Payload("0123456789"))}
	for name, produced := range map[string][]*message.Message{"no outputs": nil, "one output": out} {
		b.Run(name, func(b *testing.B) {
			h := mw(func(*message.Message) ([]*message.Message, error) { return produced, nil })
			run(b, name, h)
		})
	}
}

// BenchmarkTransaction is a whole transaction with its record, on SQLite.
func BenchmarkTransaction(b *testing.B) {
	db, err := openSQLite(filepath.Join(b.TempDir(), "x.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store, err := sqlstore.New(db, sqlstore.Config{})
	if err != nil {
		b.Fatal(err)
	}
	mw, err := idempotency.Transaction(idempotency.DB(db, nil), store, idempotency.TxConfig{Handler: "h"})
	if err != nil {
		b.Fatal(err)
	}
	run(b, "tx", mw(succeed))
}

func run(b *testing.B, prefix string, h message.HandlerFunc) {
	b.Helper()
	b.ReportAllocs()
	msg := message.NewMessageWithContext(context.Background(), "", nil)
	n := 0
	for b.Loop() {
		n++
		msg.UUID = prefix + strconv.Itoa(n)
		if _, err := h(msg); err != nil {
			b.Fatal(err)
		}
	}
}
