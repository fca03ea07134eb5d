package label_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/examples/kit/label"
	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/sluicegatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// carrier is a fake: it notes each label that it has made.
type carrier struct {
	*sluicegatetest.Ledger
	mu     sync.Mutex
	fail   error
	during func() // while it makes a label
}

func (c *carrier) Make(_ context.Context, key, _ string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.during != nil {
		c.during()
	}
	if c.fail != nil {
		return "", c.fail
	}
	c.Add(key)
	return "track-" + key, nil
}

func (c *carrier) say(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

type bench struct {
	*sluicegatetest.Harness
	labels  *label.Labels
	carrier *carrier
	paid    *sluicegatetest.Handler
}

func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		h := sluicegatetest.New(t, sluicegatetest.Config{Tables: []string{label.Tables}})
		b := &bench{Harness: h, carrier: &carrier{Ledger: sluicegatetest.NewLedger()}}
		var err error
		b.labels, err = label.New(h.DB, b.carrier, task.Config{Delays: label.Waits(), MaxAttempts: 8, Away: 5 * time.Minute, PollMax: time.Minute, Alerts: h.Emitter(), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		b.paid = h.Handle("label", "orders.paid", b.labels.OnPaid)
		h.Go(b.labels.Run)
		test(t, b)
	})
}

func (b *bench) made() *sluicegatetest.Ledger {
	return b.LedgerOf("SELECT order_id FROM label WHERE status = 'made' AND tracking = 'track-' || order_id")
}

func (b *bench) inTx(t *testing.T, fn func(tx *sql.Tx) error) {
	t.Helper()
	tx, err := b.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fn(tx), tx.Commit()); err != nil {
		t.Fatal(err)
	}
}

func order(id string) *message.Message { return message.NewMessage(id, []byte("DE")) }

func TestEachOrderGetsOneLabelWhateverHappensToItsMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.paid.Duplicate(3, order("order-1"))
		b.paid.Deliver(order("order-2"), sluicegatetest.AfterEffect.Crash(), sluicegatetest.AfterEffect.Fail(nil), sluicegatetest.AfterCommit.Crash())
		b.paid.Together(4, order("order-3"))
		b.Advance(10 * time.Minute)
		b.RequireApplied(b.carrier.Ledger, "order-1", "order-2", "order-3")
		b.RequireApplied(b.made(), "order-1", "order-2", "order-3")
	})
}

func TestACarrierThatHealsAfterADayIsAskedThen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.carrier.say(retry.Unavailable(errors.New("nobody answers")))
		b.paid.Deliver(order("order-1"))
		b.Advance(12 * time.Hour)
		b.Restart()
		b.Advance(12 * time.Hour)
		b.RequireApplied(b.made())
		b.carrier.say(nil)
		b.Advance(10 * time.Minute)
		b.RequireApplied(b.made(), "order-1")
		if n := len(b.Alerts()); n != 0 {
			t.Errorf("%d alerts", n)
		}
	})
}

func TestWhatFailsForGoodIsToldAndCanBeTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.carrier.say(errors.New("no such street"))
		b.paid.Deliver(order("order-1"))
		b.Advance(24 * time.Hour)
		b.RequireApplied(b.LedgerOf("SELECT order_id FROM label WHERE status = 'failed' AND reason = 'no such street'"), "order-1")
		if alerts := b.Alerts(); len(alerts) != 1 || alerts[0].Name != task.AlertDead {
			t.Fatalf("the alerts are %+v, want one of a dead task", alerts)
		}
		b.carrier.say(nil)
		b.inTx(t, func(tx *sql.Tx) error { return b.labels.Again(t.Context(), tx, "order-1") })
		b.labels.Wake()
		b.Advance(time.Minute)
		b.RequireApplied(b.made(), "order-1")
	})
}

func TestWhatIsWithdrawnIsNotMade(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.carrier.say(errors.New("not today"))
		b.paid.Deliver(order("order-1"))
		b.Advance(time.Minute)
		b.inTx(t, func(tx *sql.Tx) error { return b.labels.Withdraw(t.Context(), tx, "order-1") })
		b.carrier.say(nil)
		b.Advance(24 * time.Hour)
		b.RequireApplied(b.carrier.Ledger)
		b.RequireApplied(b.LedgerOf("SELECT order_id FROM label WHERE status = 'withdrawn'"), "order-1")
	})
}

// The carrier has made it, and nobody wants it any more: who withdrew keeps his word.
func TestWhatIsWithdrawnWhileItIsMadeStaysWithdrawn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.carrier.during = func() {
			b.inTx(t, func(tx *sql.Tx) error { return b.labels.Withdraw(t.Context(), tx, "order-1") })
		}
		b.paid.Deliver(order("order-1"))
		b.Advance(time.Hour)
		b.RequireApplied(b.carrier.Ledger, "order-1")
		b.RequireApplied(b.made())
		b.RequireApplied(b.LedgerOf("SELECT order_id FROM label WHERE status = 'withdrawn'"), "order-1")
	})
}
