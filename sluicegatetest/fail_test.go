package sluicegatetest_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/sluicegatetest"
)

// The three mistakes that handlers are tested for, each seen.

func TestAHandlerThatAcksBeforeItHandlesIsCaught(t *testing.T) {
	failing(t, sluicegatetest.Config{}, func(h *sluicegatetest.Harness) {
		mails, smtpAway := sluicegatetest.NewLedger(), errors.New("the mail server is away")
		mail := h.HandleMessage("mail", "orders.placed", "", func(msg *message.Message) ([]*message.Message, error) {
			send := func() error { // it is away the first time
				if msg.UUID == "order-2" {
					return smtpAway
				}
				mails.Add(msg.UUID)
				return nil
			}
			go func() { _ = send() }() // nobody waits, nobody hears of the error
			return nil, nil
		})
		mail.Deliver(order("order-1"))
		mail.Deliver(order("order-2"))
		h.Advance(time.Hour)
		h.RequireApplied(mails, "order-1", "order-2")
	}, "1 lost: order-2")
}

func TestAHandlerThatMarksBeforeItSucceedsIsCaught(t *testing.T) {
	var mu sync.Mutex
	marked := map[string]bool{}
	failing(t, sluicegatetest.Config{}, func(h *sluicegatetest.Harness) {
		mails := sluicegatetest.NewLedger()
		mail := h.HandleMessage("mail", "orders.placed", "", func(msg *message.Message) ([]*message.Message, error) {
			mu.Lock()
			seen := marked[msg.UUID]
			marked[msg.UUID] = true // before it is true
			mu.Unlock()
			if seen {
				return nil, nil
			}
			if msg.UUID == "order-1" {
				return nil, errors.New("the mail server says no, this once")
			}
			mails.Add(msg.UUID)
			return nil, nil
		})
		mail.Deliver(order("order-1"))
		mail.Deliver(order("order-2"))
		h.Advance(time.Hour)
		h.RequireApplied(mails, "order-1", "order-2")
	}, "1 lost: order-1")
}

func TestAnEffectOutsideOfTheTransactionIsCaught(t *testing.T) {
	for name, fault := range map[string]sluicegatetest.Fault{
		"failure": sluicegatetest.AfterEffect.Fail(nil), "panic": sluicegatetest.AfterEffect.Panic(),
		"time-out": sluicegatetest.AfterEffect.TimeOut(), "crash": sluicegatetest.AfterEffect.Crash(),
	} {
		t.Run(name, func(t *testing.T) {
			failing(t, sluicegatetest.Config{}, func(h *sluicegatetest.Harness) {
				mails := sluicegatetest.NewLedger()
				mail := h.Handle("mail", "orders.placed", func(_ context.Context, _ *sql.Tx, msg *message.Message) error {
					mails.Add(msg.UUID)
					return nil
				})
				mail.Deliver(order("order-1"), fault)
				mail.Deliver(order("order-2"))
				h.RequireApplied(mails, "order-1", "order-2")
			}, "1 duplicated: order-1 (2 times)")
		})
	}
}

// And the helpers' own ways to fail.

func TestADeliveryThatIsNeverAckedEndsTheTest(t *testing.T) {
	cfg := withStock()
	cfg.Stack.Park.Off = true
	failing(t, cfg, func(h *sluicegatetest.Harness) {
		h.Exec("DROP TABLE sluicegate_dead_letter") // so that it cannot even be set aside
		stock := h.Handle("stock", "orders.placed", takeStock)
		stock.Break(sluicegatetest.BeforeEffect.Fail(errors.New("the warehouse says no")))
		stock.Deliver(order("order-1"))
	}, `handler "stock": message "order-1" was delivered 100 times and never acked`, "the warehouse says no")
}

func publish(t *testing.T, h *sluicegatetest.Harness, tx *sql.Tx, topic string, msgs ...*message.Message) {
	t.Helper()
	if err := h.Outbox.Publish(t.Context(), tx, topic, msgs...); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsRequiredOfTheOutboxCanFail(t *testing.T) {
	secret := message.NewMessage("order-1", []byte(`{"card": "4111"}`))
	forwarder.SetKey(secret, "customer-7")
	secret.Metadata.Set("tenant", "private value")
	for name, c := range map[string]struct {
		require func(h *sluicegatetest.Harness, tx *sql.Tx)
		words   []string // none: it has to pass
	}{
		"topic": {func(h *sluicegatetest.Harness, tx *sql.Tx) { h.RequirePublished(tx, "orders.paid") }, []string{
			`no message to "orders.paid" was published; the outbox has:`, `orders.placed: uuid "order-1", key "customer-7", metadata tenant, 16 bytes`,
		}},
		"key": {func(h *sluicegatetest.Harness, tx *sql.Tx) {
			h.RequirePublished(tx, "orders.placed", sluicegatetest.Key("x"))
		}, []string{`with key "x"`}},
		"metadata": {func(h *sluicegatetest.Harness, tx *sql.Tx) {
			h.RequirePublished(tx, "orders.placed", sluicegatetest.Metadata("tenant", "x"))
		}, []string{`metadata "tenant"`}},
		"JSON": {func(h *sluicegatetest.Harness, tx *sql.Tx) {
			h.RequirePublished(tx, "orders.placed", sluicegatetest.JSON(map[string]any{"card": 4111}))
		}, []string{"with the given JSON"}},
		"not":       {func(h *sluicegatetest.Harness, tx *sql.Tx) { h.RequireNotPublished(tx, "orders.placed") }, []string{`1 messages to "orders.placed" were published`}},
		"not later": {func(h *sluicegatetest.Harness, tx *sql.Tx) { h.RequireNotPublished(tx, "orders.reminder") }, []string{"at a later time"}},
		"all is well": {func(h *sluicegatetest.Harness, tx *sql.Tx) {
			h.RequirePublished(tx, "orders.placed", sluicegatetest.Key("customer-7"), sluicegatetest.UUID("order-1"), sluicegatetest.Metadata("tenant", "private value"),
				sluicegatetest.JSON(map[string]string{"card": "4111"}), sluicegatetest.Payload(secret.Payload))
			h.RequirePublished(tx, "orders.reminder")
			h.RequireNotPublished(tx, "orders.placed", sluicegatetest.UUID("order-2"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeTB{dir: t.TempDir()}
			got := f.run(func(tb testing.TB) {
				h := sluicegatetest.New(tb, sluicegatetest.Config{})
				tx, err := h.DB.BeginTx(context.Background(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = tx.Rollback() }()
				publish(t, h, tx, "orders.placed", secret)
				if err := h.Outbox.PublishAfter(t.Context(), tx, time.Hour, "orders.reminder", order("order-1")); err != nil {
					t.Error(err)
				}
				c.require(h, tx)
			})
			if (got != "") != (len(c.words) > 0) {
				t.Fatalf("it failed with %q, want words %q", got, c.words)
			}
			for _, word := range c.words {
				if !strings.Contains(got, word) {
					t.Errorf("no word of %q:\n%s", word, got)
				}
			}
			for _, private := range []string{"4111", "private value"} {
				if strings.Contains(got, private) {
					t.Errorf("it shows %q:\n%s", private, got)
				}
			}
		})
	}
}

func TestPayloadsAreShownWhereThatIsAskedFor(t *testing.T) {
	f := &fakeTB{dir: t.TempDir()}
	got := f.run(func(tb testing.TB) {
		h := sluicegatetest.New(tb, sluicegatetest.Config{ShowPayloads: true})
		tx, _ := h.DB.BeginTx(context.Background(), nil)
		defer func() { _ = tx.Rollback() }()
		publish(t, h, tx, "orders.placed", order("order-1"))
		h.RequireNotPublished(tx, "orders.placed")
	})
	if !strings.Contains(got, "bytes of order-1") {
		t.Errorf("no payload is shown:\n%s", got)
	}
}

func TestALookPastAnOpenTransactionSaysWhatIsWrong(t *testing.T) {
	failing(t, sluicegatetest.Config{}, func(h *sluicegatetest.Harness) {
		tx, _ := h.DB.BeginTx(context.Background(), nil)
		defer func() { _ = tx.Rollback() }()
		h.RequirePublished(nil, "orders.placed")
	}, "a transaction is open on the only connection")
}

func TestAMisuseIsTold(t *testing.T) {
	f := &fakeTB{dir: t.TempDir()}
	if got := f.run(func(tb testing.TB) {
		h := sluicegatetest.New(tb, withStock())
		h.Handle("stock", "orders.placed", takeStock).Deliver(order("order-1"))
	}); !strings.Contains(got, "not on virtual time: run the test in synctest.Test") {
		t.Errorf("a delivery outside of a bubble: %q", got)
	}
	failing(t, withStock(), func(h *sluicegatetest.Harness) {
		h.Handle("stock", "orders.placed", takeStock).Deliver(order("order-1"))
		h.Handle("late", "orders.placed", takeStock)
	}, `handler "late" comes after the first delivery`)
	failing(t, withStock(), func(h *sluicegatetest.Harness) {
		h.Handle("stock", "orders.placed", takeStock).Break(sluicegatetest.AfterCommit.Crash())
	}, "cannot be broken after the commit")
	failing(t, sluicegatetest.Config{Tables: []string{"CREATE nothing"}}, func(*sluicegatetest.Harness) {}, "execute:")
	failing(t, withStock(), func(h *sluicegatetest.Harness) {
		h.RequireApplied(h.LedgerOf("SELECT nothing FROM nowhere"), "order-1")
	}, "read ledger:")
	failing(t, withStock(), func(h *sluicegatetest.Harness) { h.RequireApplied(sluicegatetest.NewLedger(), "a", "a") }, `"a" is given twice`)
}
