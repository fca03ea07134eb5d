package sluicegatetest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite" // the driver that the harness uses

	"github.com/sluicegate/sluicegate/sluicegatetest"
)

// The handler of a user: it ships an order and says so, in one transaction.
func ship(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
	if _, err := tx.ExecContext(ctx, "INSERT INTO parcel (order_id) VALUES (?)", msg.UUID); err != nil {
		return nil, fmt.Errorf("insert parcel: %w", err)
	}
	return []*message.Message{message.NewMessage("shipped-"+msg.UUID, msg.Payload)}, nil
}

// A user's test of it, from A to Z: whatever goes wrong, each order is shipped once.
func TestEachOrderIsShippedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := sluicegatetest.New(t, sluicegatetest.Config{Tables: []string{"CREATE TABLE parcel (order_id TEXT)"}})
		shipping := h.HandleProducing("shipping", "orders.paid", "orders.shipped", ship)

		// It is delivered twice, and eight times at once.
		shipping.Duplicate(2, message.NewMessage("twice", nil))
		shipping.Together(8, message.NewMessage("at-once", nil))
		// The process dies between effect and commit, and between commit and ack.
		shipping.Deliver(message.NewMessage("crash", nil), sluicegatetest.AfterEffect.Crash(), sluicegatetest.AfterCommit.Crash())
		// It fails, panics and hangs; the fourth attempt, four minutes later, succeeds.
		shipping.Deliver(message.NewMessage("late", nil),
			sluicegatetest.AfterEffect.Fail(errors.New("no printer")), sluicegatetest.AfterEffect.Panic(), sluicegatetest.AfterEffect.TimeOut())
		h.RequireNotPublished(nil, "orders.shipped", sluicegatetest.UUID("shipped-late"))
		h.Advance(5 * time.Minute)

		h.RequireApplied(h.LedgerOf("SELECT order_id FROM parcel"), "twice", "at-once", "crash", "late")
		h.RequirePublished(nil, "orders.shipped", sluicegatetest.UUID("shipped-late"))
		if n := len(h.Published(nil, "orders.shipped")); n != 4 {
			t.Errorf("%d messages were put out, want one an order", n)
		}
		if letters := h.DeadLetters(); len(letters) > 0 {
			t.Errorf("%d dead letters, the first because of %q", len(letters), letters[0].Reason)
		}
	})
}

// printTB is a test that prints its failures, since an example has none.
type printTB struct{ fakeTB }

func (p *printTB) Fatalf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// What an open transaction has published is seen through it, before it commits, and a
// failure says what else there is without showing any payload.
func Example() {
	dir, remove := tempDir()
	defer remove()
	tb := &printTB{fakeTB{dir: dir}} // in a test: t
	h := sluicegatetest.New(tb, sluicegatetest.Config{})

	ctx := context.Background()
	tx, err := h.DB.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	// The code under test.
	err = h.Outbox.Publish(ctx, tx, "orders.placed", message.NewMessage("order-1", []byte(`{"card": "4111…", "sku": "tea"}`)))
	if err != nil {
		log.Fatal(err)
	}

	msg := h.RequirePublished(tx, "orders.placed", sluicegatetest.UUID("order-1"))
	fmt.Println("published:", msg.UUID)
	h.RequireNotPublished(tx, "orders.paid")
	h.RequirePublished(tx, "orders.placed", sluicegatetest.Key("customer-7"))
	_ = tx.Rollback()
	h.RequireNotPublished(nil, "orders.placed")
	_ = h.DB.Close()
	// Output:
	// published: order-1
	// sluicegatetest: no message to "orders.placed" with key "customer-7" was published; the outbox has:
	// 	orders.placed: uuid "order-1", 33 bytes
}

// Effects that are made elsewhere are noted where they are made.
func ExampleLedger() {
	mails := sluicegatetest.NewLedger()
	for _, order := range []string{"order-1", "order-2", "order-2", "order-9"} {
		mails.Add(order) // by the fake mail server of a test
	}
	fmt.Println(mails.Check("order-1", "order-2", "order-3"))
	// Output:
	// effects: 1 lost: order-3; 1 duplicated: order-2 (2 times); 1 that nobody asked for: order-9
}
