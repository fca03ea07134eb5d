package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// bench is a Transaction on a SQLite file with a table of effects.
type bench struct {
	t     *testing.T
	db    *sql.DB
	store *sqlstore.Store
	facts *facts
	mw    message.HandlerMiddleware
}

func openSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = schema.Up(context.Background(), db, sqldialect.SQLite, sqldialect.Names{})
	return db, err
}

func newBench(t *testing.T, runner func(*sql.DB) idempotency.Runner, change func(*idempotency.TxConfig)) *bench {
	t.Helper()
	db, err := openSQLite(filepath.Join(t.TempDir(), "x.db"))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), "CREATE TABLE effect (attempt INTEGER)")
	must(t, err)
	b := &bench{t: t, db: db, facts: &facts{}}
	b.store, err = sqlstore.New(db, sqlstore.Config{})
	must(t, err)
	cfg := idempotency.TxConfig{Handler: "stock", Consumer: "shop", Observe: b.facts.observe}
	if change != nil {
		change(&cfg)
	}
	r := idempotency.DB(db, nil)
	if runner != nil {
		r = runner(db)
	}
	b.mw, err = idempotency.Transaction(r, b.store, cfg)
	must(t, err)
	return b
}

// write is the effect, in the handler's transaction.
func write(m *message.Message) error {
	tx, ok := idempotency.Native[*sql.Tx](m.Context())
	if !ok {
		return errors.New("no transaction in the context")
	}
	_, err := tx.ExecContext(m.Context(), "INSERT INTO effect (attempt) VALUES (1)")
	return err
}

func writing(m *message.Message) ([]*message.Message, error) { return nil, write(m) }

func (b *bench) deliver(h message.HandlerFunc) error {
	ctx := delivery.With(context.Background(), &delivery.Delivery{})
	msg := newMessage(ctx)
	_, err := b.mw(h)(msg)
	if msg.Context() != ctx {
		b.t.Error("the message's context was not restored")
	}
	return err
}

// holds checks how many effects and inbox records there are.
func (b *bench) holds(effects, records int) {
	b.t.Helper()
	for table, want := range map[string]int{"effect": effects, "sluicegate_inbox": records} {
		var n int
		must(b.t, b.db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n))
		if n != want {
			b.t.Fatalf("%d rows in %s, want %d", n, table, want)
		}
	}
}

func TestEffectAndRecordCommitTogetherAndOnce(t *testing.T) {
	b := newBench(t, nil, nil)
	for range 3 {
		must(t, b.deliver(writing))
	}
	b.holds(1, 1)
	b.facts.want(t, event.Handled, event.Duplicate, event.Duplicate)
	if e := b.facts.list[0]; e.Handler != "shop/stock" || e.Key != "order-1" || e.Attempt != 1 {
		t.Errorf("event %+v", e)
	}
}

func TestAHandlerThatWritesAndThenFailsOutsideSQLLeavesOneEffectWhenRetried(t *testing.T) {
	b := newBench(t, nil, nil)
	n := 0
	h := b.mw(func(m *message.Message) ([]*message.Message, error) {
		n++
		if err := write(m); err != nil {
			return nil, err
		}
		if n < 3 {
			return nil, errHandler // such as an HTTP call, after the write
		}
		return nil, nil
	})
	msg := newMessage(context.Background())
	for range 2 { // the retry stands outside
		if _, err := h(msg); !errors.Is(err, errHandler) {
			t.Fatalf("error %v, want the handler's", err)
		}
		b.holds(0, 0)
	}
	must(t, second(h(msg)))
	b.holds(1, 1)
}

func TestAfterAnErrorOfSQLTheNextAttemptHasAFreshTransaction(t *testing.T) {
	b := newBench(t, nil, nil)
	err := b.deliver(func(m *message.Message) ([]*message.Message, error) {
		if err := write(m); err != nil {
			return nil, err
		}
		tx, _ := idempotency.Native[*sql.Tx](m.Context())
		_, err := tx.ExecContext(m.Context(), "INSERT INTO no_such_table VALUES (1)")
		return nil, err
	})
	if err == nil || failure.IsUnavailable(err) {
		t.Fatalf("error %v, want that of the statement", err)
	}
	b.holds(0, 0)
	must(t, b.deliver(writing))
	b.holds(1, 1)
}

func TestAfterATimeOutTheNextAttemptHasAFreshTransaction(t *testing.T) {
	b := newBench(t, nil, nil)
	err := b.deliver(func(m *message.Message) ([]*message.Message, error) {
		if err := write(m); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(m.Context(), time.Nanosecond)
		defer cancel()
		<-ctx.Done()
		tx, _ := idempotency.Native[*sql.Tx](m.Context())
		_, err := tx.ExecContext(ctx, "INSERT INTO effect (attempt) VALUES (2)")
		return nil, err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want the time-out", err)
	}
	b.holds(0, 0)
	must(t, b.deliver(writing))
	b.holds(1, 1)
}

func TestAPanicRollsBackAndGoesOn(t *testing.T) {
	b := newBench(t, nil, nil)
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic was lost")
			}
		}()
		_ = b.deliver(func(m *message.Message) ([]*message.Message, error) {
			must(t, write(m))
			panic("boom")
		})
	}()
	b.holds(0, 0)
	must(t, b.deliver(writing))
	b.holds(1, 1)
}

func TestAShutdownRollsBack(t *testing.T) {
	b := newBench(t, nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	msg := newMessage(ctx)
	_, err := b.mw(func(m *message.Message) ([]*message.Message, error) {
		must(t, write(m))
		tx, _ := idempotency.Native[*sql.Tx](m.Context())
		cancel()
		// database/sql rolls back on a goroutine of its own: let it come first.
		for err := error(nil); !errors.Is(err, sql.ErrTxDone); runtime.Gosched() {
			_, err = tx.ExecContext(context.Background(), "SELECT 1")
		}
		return nil, nil
	})(msg)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if msg.Context() != ctx {
		t.Error("the message's context was not restored")
	}
	b.holds(0, 0)
	_, err = b.mw(writing)(msg)
	if !errors.Is(err, context.Canceled) || failure.IsUnavailable(err) {
		t.Errorf("error %v of a message that ended before, want that of the context", err)
	}
	b.holds(0, 0)
}

func TestOfManyTransactionsAtOnceOneHasTheEffect(t *testing.T) {
	b := newBench(t, nil, nil)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if err := b.deliver(writing); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.holds(1, 1)
}

func TestTheRecordHasTheAttemptThatTheRetryCounts(t *testing.T) {
	b := newBench(t, nil, nil)
	d := &delivery.Delivery{Handler: "stock"}
	d.Begin(4)
	msg := newMessage(delivery.With(context.Background(), d))
	_, err := b.mw(func(m *message.Message) ([]*message.Message, error) {
		if n, ok := idempotency.Fence(m.Context()); n != 4 || !ok {
			t.Errorf("fence %d, want 4", n)
		}
		return nil, nil
	})(msg)
	must(t, err)
	var status string
	var attempts int
	must(t, b.db.QueryRow("SELECT status, attempts FROM sluicegate_inbox").Scan(&status, &attempts))
	if status != "done" || attempts != 4 || d.Key() != "order-1" {
		t.Errorf("status %s, attempts %d, key %q; want done, 4, order-1", status, attempts, d.Key())
	}
}

func TestMessagesThatNobodyWouldPublishInTheTransactionAreRefused(t *testing.T) {
	produce := func(m *message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("out", nil)}, write(m)
	}
	b := newBench(t, nil, nil)
	if err := b.deliver(produce); !errors.Is(err, idempotency.ErrProduced) || !failure.IsPermanent(err) {
		t.Errorf("error %v, want ErrProduced marked as permanent", err)
	}
	b.holds(0, 0)
	b = newBench(t, nil, func(c *idempotency.TxConfig) { c.AllowProduced = true })
	out, err := b.mw(produce)(newMessage(context.Background()))
	if err != nil || len(out) != 1 {
		t.Errorf("outputs %v, error %v; want one, none", out, err)
	}
	b.holds(1, 1)
}

func TestAnotherPayloadUnderTheKeyNeverRunsInATransaction(t *testing.T) {
	b := newBench(t, nil, func(c *idempotency.TxConfig) { c.Fingerprint = idempotency.PayloadFingerprint })
	must(t, b.deliver(writing))
	msg := newMessage(context.Background())
	msg.Payload = message.Payload("other")
	if _, err := b.mw(writing)(msg); !errors.Is(err, idempotency.ErrMismatch) || !failure.IsPermanent(err) {
		t.Errorf("error %v, want ErrMismatch marked as permanent", err)
	}
	b.holds(1, 1)
}

func TestARedrivenMessageRunsOnceMore(t *testing.T) {
	b := newBench(t, nil, nil)
	ctx := context.Background()
	must(t, b.store.Transition(ctx, theKey, idempotency.Transition{From: []idempotency.State{idempotency.Absent}, To: idempotency.Dead}))
	must(t, b.deliver(writing))
	b.holds(0, 1)
	must(t, b.store.Transition(ctx, theKey, idempotency.Transition{From: []idempotency.State{idempotency.Dead}, To: idempotency.Released, NextEpoch: true}))
	must(t, b.deliver(writing))
	must(t, b.deliver(writing))
	b.holds(1, 1)
}
