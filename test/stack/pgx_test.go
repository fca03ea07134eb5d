package stack_test

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
)

// A service on pgx has effect, dedup row and outputs in one pgx transaction.
func TestPgxUsersHaveTheSameTransaction(t *testing.T) {
	p := openPlace(t, "POSTGRES_URL")
	pool, err := pgxpool.New(t.Context(), os.Getenv("POSTGRES_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	cfg := p.config()
	cfg.Retry, cfg.Transactions = quick(), pgxtx.Runner(pool)
	var calls atomic.Int32
	b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
		return s.HandleMessage(r, "payment", "orders", b.Group("payment"), "paid", func(msg *message.Message) ([]*message.Message, error) {
			ctx := msg.Context()
			tx, ok := pgxtx.From(ctx)
			if !ok {
				return nil, errors.New("no pgx transaction")
			}
			if _, err := tx.Exec(ctx, "INSERT INTO "+p.table("effect")+" (message) VALUES ($1)", msg.UUID); err != nil {
				return nil, err
			}
			if calls.Add(1) == 1 {
				return nil, errors.New("outside SQL")
			}
			return []*message.Message{message.NewMessage("paid-1", nil)}, nil
		})
	})
	for range 2 {
		if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
			t.Fatal(err)
		}
	}
	outputs := p.count(t, "SELECT COUNT(*) FROM "+p.table("outbox")+" WHERE topic = 'paid'")
	if calls.Load() != 2 || p.effects(t) != 1 || outputs != 1 {
		t.Errorf("%d calls, %d effects, %d outputs; want 2, 1, 1", calls.Load(), p.effects(t), outputs)
	}
}

// The row and its message travel together and commit together, or not at all.
func TestAQueuedOrderAndItsMessageAreOneTransaction(t *testing.T) {
	p := openPlace(t, "POSTGRES_URL")
	pool, err := pgxpool.New(t.Context(), os.Getenv("POSTGRES_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	box, err := forwarder.New(p.db, forwarder.Config{Prefix: p.prefix})
	if err != nil {
		t.Fatal(err)
	}
	send := func(more string) error {
		var batch pgx.Batch
		batch.Queue("INSERT INTO "+p.table("effect")+" (message) VALUES ($1)", "order-1")
		if err := box.Publish(t.Context(), pgxtx.Queue(&batch), "orders", message.NewMessage("", nil)); err != nil {
			return err
		}
		if more != "" {
			batch.Queue(more)
		}
		return pool.SendBatch(t.Context(), &batch).Close()
	}
	// Refused when it is run, and not when it is parsed: by then both are written.
	if err := send("INSERT INTO " + p.table("effect") + " (message) VALUES (repeat('x', 300))"); err == nil || p.effects(t) != 0 || p.count(t, "SELECT COUNT(*) FROM "+p.table("outbox")) != 0 {
		t.Errorf("%v, and %d rows are there", err, p.effects(t))
	}
	if err := send(""); err != nil || p.effects(t) != 1 || p.count(t, "SELECT COUNT(*) FROM "+p.table("outbox")) != 1 {
		t.Errorf("%v, and %d rows are there", err, p.effects(t))
	}
}
