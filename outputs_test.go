package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func outgoing(topic string, msgs ...*message.Message) []batch.Outgoing {
	var out []batch.Outgoing
	for _, m := range msgs {
		out = append(out, batch.Outgoing{Topic: topic, Message: m})
	}
	return out
}

// refusing is a publisher that refuses the first calls.
type refusing struct {
	mu       sync.Mutex
	refuse   int
	accepted []string
}

func (p *refusing) Publish(_ string, msgs ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse > 0 {
		p.refuse--
		return errors.New("broker away")
	}
	for _, m := range msgs {
		p.accepted = append(p.accepted, m.UUID)
	}
	return nil
}

func (p *refusing) Close() error { return nil }

func producing(calls *atomic.Int32) sluicegate.TxProducer {
	return func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		calls.Add(1)
		if err := insertEffect(ctx, tx, msg); err != nil {
			return nil, err
		}
		return []*message.Message{message.NewMessage("paid-"+msg.UUID, []byte("paid"))}, nil
	}
}

func TestOutputsThatCouldNotBePublishedAreRepeatedWithoutASecondEffect(t *testing.T) {
	db := openDB(t)
	pub := &refusing{refuse: 7} // more than one delivery tries
	var seen events
	s, err := sluicegate.New(db, sluicegate.Config{Store: memorystore.New(), Publisher: pub, Retry: quick(), Observe: seen.observe})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	var calls atomic.Int32
	if err := s.HandleProducing(r, "payment", "orders", b.Group("payment"), "paid", producing(&calls)); err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the handler ran %d times for a failure that is not its own", n)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	if len(pub.accepted) != 1 || pub.accepted[0] != "paid-order-1" {
		t.Errorf("published %v, want the one output with its own UUID", pub.accepted)
	}
	if seen.count(sluicegate.Returned) == 0 || seen.count(sluicegate.Republished) == 0 {
		t.Error("the failed publishing was not seen")
	}
	if n := seen.count(sluicegate.DeadLettered); n != 0 {
		t.Errorf("a broker that was away made %d dead letters", n)
	}
}

func TestOutputsCommitWithTheEffectOrNotAtAll(t *testing.T) {
	db := openDB(t)
	s, err := sluicegate.New(db, sluicegate.Config{Retry: quick()})
	if err != nil {
		t.Fatal(err)
	}
	// The outbox refuses while its table is away: what an outage of part of the
	// database looks like to the transaction.
	if _, err := db.Exec("ALTER TABLE sluicegate_outbox RENAME TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	var calls atomic.Int32
	attempt := producing(&calls)
	err = s.HandleProducing(r, "payment", "orders", b.Group("payment"), "paid", func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		out, err := attempt(ctx, tx, msg)
		if calls.Load() == 2 {
			_, err := tx.ExecContext(ctx, "ALTER TABLE elsewhere RENAME TO sluicegate_outbox")
			return out, err
		}
		return out, err
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	for range 2 {
		if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the handler ran %d times, want 2: the failure of its outputs is an attempt, the duplicate is none", n)
	}
	if e, o := count(t, db, "SELECT COUNT(*) FROM effect"), count(t, db, "SELECT COUNT(*) FROM sluicegate_outbox WHERE topic = 'paid'"); e != 1 || o != 1 {
		t.Errorf("%d effects and %d outputs, want 1 and 1", e, o)
	}
}

func TestARouterLevelChainTakesNamesAndTopicsFromWatermill(t *testing.T) {
	db := openDB(t)
	s, err := sluicegate.New(db, sluicegate.Config{Retry: quick(), Consumer: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	mw, err := s.Middleware()
	if err != nil {
		t.Fatal(err)
	}
	r.AddMiddleware(mw)
	unused := &refusing{}
	r.AddHandler("payment", "orders", b.Group("payment"), "paid", unused, func(msg *message.Message) ([]*message.Message, error) {
		tx, ok := sluicegate.Tx(msg.Context())
		if !ok {
			return nil, errors.New("no transaction")
		}
		return []*message.Message{message.NewMessage("out", nil)}, insertEffect(msg.Context(), tx, msg)
	})
	running(t, s, r)
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM sluicegate_inbox WHERE handler = 'shop/payment' AND status = 'done'"); n != 1 {
		t.Errorf("%d inbox records of shop/payment, want 1", n)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM sluicegate_outbox WHERE topic = 'paid'"); n != 1 {
		t.Errorf("%d outputs in the outbox, want 1", n)
	}
	if len(unused.accepted) != 0 {
		t.Error("the router published the outputs itself")
	}
}
