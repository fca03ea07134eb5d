package sluicegatetest_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/sluicegatetest"
)

func TestAHandlerThatHealsAfterHalfAnHourIsAppliedOnce(t *testing.T) {
	inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
		stock := h.Handle("stock", "orders.placed", takeStock)
		stock.BreakFor(30*time.Minute, sluicegatetest.AfterEffect.Fail(errors.New("the warehouse says no")))
		stock.Deliver(order("order-1"))
		ledger := h.LedgerOf(taken)
		h.Advance(29 * time.Minute)
		h.RequireApplied(ledger)
		h.Advance(2 * time.Minute)
		h.RequireApplied(ledger, "order-1")
		stock.Duplicate(3, order("order-1"))
		h.RequireApplied(ledger, "order-1")
	})
}

func TestEachFaultIsMetWhereItIsSaidAndTheEffectIsThereOnce(t *testing.T) {
	points := map[string]sluicegatetest.Point{
		"before the effect": sluicegatetest.BeforeEffect, "after the effect": sluicegatetest.AfterEffect, "after the commit": sluicegatetest.AfterCommit,
	}
	for name, p := range points {
		if p.String() != name {
			t.Errorf("%v is called %q", p, name)
		}
		for kind, f := range map[string]struct {
			sluicegatetest.Fault
			again bool // the broker sees it
		}{
			"failure": {p.Fail(nil), p == sluicegatetest.AfterCommit}, "panic": {p.Panic(), p == sluicegatetest.AfterCommit},
			"time-out": {p.TimeOut(), p == sluicegatetest.AfterCommit}, "crash": {p.Crash(), true},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
					calls := 0
					stock := h.Handle("stock", "orders.placed", func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
						calls++
						return takeStock(ctx, tx, msg)
					})
					got := stock.Deliver(order("order-1"), f.Fault)
					want := []sluicegatetest.Outcome{sluicegatetest.Acked}
					switch {
					case kind == "crash":
						want = []sluicegatetest.Outcome{sluicegatetest.Crashed, sluicegatetest.Acked}
					case f.again:
						want = []sluicegatetest.Outcome{sluicegatetest.Nacked, sluicegatetest.Acked}
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s: the deliveries were %v, want %v", f, got, want)
					}
					if wantCalls := map[bool]int{true: 2, false: 1}[p == sluicegatetest.AfterEffect]; calls != wantCalls {
						t.Errorf("the handler was called %d times, want %d", calls, wantCalls)
					}
					h.RequireApplied(h.LedgerOf(taken), "order-1")
				})
			})
		}
	}
}

func TestWhatIsHopelessIsADeadLetterAndAnAlert(t *testing.T) {
	inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
		stock := h.Handle("stock", "orders.placed", takeStock)
		stock.Break(sluicegatetest.AfterEffect.Fail(errors.New("no such product")))
		stock.Deliver(order("order-1"))
		if n := len(h.DeadLetters()); n != 0 {
			t.Errorf("%d dead letters at once", n)
		}
		h.Advance(24 * time.Hour)
		letters := h.DeadLetters()
		if len(letters) != 1 || letters[0].Message.UUID != "order-1" || len(h.Alerts()) != 1 {
			t.Fatalf("%d dead letters and %d alerts after a day, want one each", len(letters), len(h.Alerts()))
		}
		stock.Heal()
		stock.Deliver(order("order-2"), sluicegatetest.BeforeEffect.Fail(retry.Permanent(errors.New("it makes no sense"))))
		if n := len(h.DeadLetters()); n != 2 {
			t.Errorf("%d dead letters after a permanent failure, want 2", n)
		}
		var set int
		for _, e := range h.Events() {
			if e.Kind == sluicegate.DeadLettered {
				set++
			}
		}
		if set != 2 {
			t.Errorf("%d events of dead letters, want 2", set)
		}
		h.RequireApplied(h.LedgerOf(taken))
	})
}

func TestARestartKeepsWhatIsParked(t *testing.T) {
	inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
		stock := h.Handle("stock", "orders.placed", takeStock)
		before := h.Stack()
		stock.Break(sluicegatetest.BeforeEffect.Fail(nil))
		stock.Deliver(order("order-1"))
		h.Restart()
		if h.Stack() == before {
			t.Error("it is the same stack")
		}
		stock.Heal()
		h.Advance(5 * time.Minute)
		h.RequireApplied(h.LedgerOf(taken), "order-1")
	})
}

func TestDeliveriesAtOnceTakeEffectOnceUnderBothStrengths(t *testing.T) {
	for name, cfg := range map[string]sluicegate.Config{"sql": {}, "claimed": {Store: memorystore.New()}} {
		t.Run(name, func(t *testing.T) {
			harness := withStock()
			harness.Stack = cfg
			inBubble(t, harness, func(t *testing.T, h *sluicegatetest.Harness) {
				stock := h.Handle("stock", "orders.placed", takeStock)
				stock.Together(5, order("order-1"), order("order-2"), order("order-3"))
				h.RequireApplied(h.LedgerOf(taken), "order-1", "order-2", "order-3")
			})
		})
	}
}

func TestRelayCarriesMessagesFromHandlerToHandler(t *testing.T) {
	inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
		h.HandleProducing("payment", "orders.placed", "orders.paid", func(_ context.Context, _ *sql.Tx, msg *message.Message) ([]*message.Message, error) {
			return []*message.Message{message.NewMessage("paid-"+msg.UUID, msg.Payload)}, nil
		})
		stock := h.Handle("stock", "orders.paid", takeStock)
		stock.BreakFor(10*time.Second, sluicegatetest.BeforeEffect.Crash()) // it is delivered until it is acked
		tx, err := h.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(h.Outbox.Publish(t.Context(), tx, "orders.placed", order("order-1")), tx.Commit())
		if err != nil {
			t.Fatal(err)
		}
		if n := h.Relay(); n != 2 {
			t.Errorf("%d messages were relayed, want 2", n)
		}
		h.RequireApplied(h.LedgerOf(taken), "paid-order-1")
		h.RequirePublished(nil, "orders.paid", sluicegatetest.Payload([]byte("bytes of order-1")))
		if n := h.Relay(); n != 0 {
			t.Errorf("%d messages were relayed again", n)
		}
	})
}

// The record of a claim outlives the crash: the lease has to end before another attempt. A
// crash after the effect then repeats what was not in a transaction, as that strength says.
func TestACrashUnderAClaimIsOverWhenItsLeaseIs(t *testing.T) {
	for name, c := range map[string]struct {
		sluicegatetest.Fault
		deliveries, mails int
	}{
		"before the effect": {sluicegatetest.BeforeEffect.Crash(), 3, 1},
		"after the effect":  {sluicegatetest.AfterEffect.Crash(), 3, 2},
		"after the commit":  {sluicegatetest.AfterCommit.Crash(), 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withStock()
			cfg.Stack.Store = memorystore.New()
			inBubble(t, cfg, func(t *testing.T, h *sluicegatetest.Harness) {
				mails := 0
				stock := h.Handle("stock", "orders.placed", func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
					mails++
					return takeStock(ctx, tx, msg)
				})
				got := stock.Deliver(order("order-1"), c.Fault)
				if len(got) < c.deliveries || got[0] != sluicegatetest.Crashed || mails != c.mails {
					t.Errorf("the deliveries were %v and %d mails went out, want a crash, %d deliveries and %d mails", got, mails, c.deliveries, c.mails)
				}
			})
		})
	}
}

func TestSubtestsOfOneNameShareNothing(t *testing.T) {
	for range 3 { // the folders of the others end in "#01" and "#02"
		t.Run("same", func(t *testing.T) {
			inBubble(t, withStock(), func(t *testing.T, h *sluicegatetest.Harness) {
				stock := h.Handle("stock", "orders.placed", takeStock)
				stock.Deliver(order("order-1"))
				h.RequireApplied(h.LedgerOf(taken), "order-1")
			})
		})
	}
}
