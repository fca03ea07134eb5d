package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// wobblyRunner fails where it is told to.
type wobblyRunner struct {
	idempotency.Runner
	before, after error
}

func (r *wobblyRunner) InTx(ctx context.Context, fn func(context.Context, dbtx.Tx) error) error {
	if r.before != nil {
		return &dbtx.BeginError{Err: r.before}
	}
	return errors.Join(r.Runner.InTx(ctx, fn), r.after)
}

func TestADatabaseThatIsAwaySpendsNoAttempt(t *testing.T) {
	b := newBench(t, func(*sql.DB) idempotency.Runner { return &wobblyRunner{before: errors.New("connection refused")} }, nil)
	if err := b.deliver(writing); !failure.IsUnavailable(err) {
		t.Errorf("error %v, want one marked as unavailable", err)
	}
	b = newBench(t, nil, nil)
	_, err := b.db.Exec("DROP TABLE sluicegate_inbox")
	must(t, err)
	if err := b.deliver(writing); !failure.IsUnavailable(err) || !strings.Contains(err.Error(), "inbox") {
		t.Errorf("error %v, want one marked as unavailable", err)
	}
}

func TestACommitOfUnknownOutcomeThatDidCommitIsMetByTheNextAttempt(t *testing.T) {
	lost := errors.New("commit transaction: connection reset")
	r := &wobblyRunner{after: lost}
	b := newBench(t, func(db *sql.DB) idempotency.Runner {
		r.Runner = idempotency.DB(db, nil)
		return r
	}, nil)
	if err := b.deliver(writing); !errors.Is(err, lost) || failure.IsUnavailable(err) || failure.IsPermanent(err) {
		t.Errorf("error %v, want that of the commit as it is", err)
	}
	r.after = nil
	must(t, b.deliver(writing))
	b.holds(1, 1)
	b.facts.want(t, event.Duplicate)
}

// contended is a TxStore that first loses races and is busy.
type contended struct {
	idempotency.TxStore
	answers []func() (idempotency.Record, error)
}

func (c *contended) ClaimTx(ctx context.Context, tx idempotency.Tx, cl idempotency.Claim) (idempotency.Record, error) {
	if len(c.answers) > 0 {
		answer := c.answers[0]
		c.answers = c.answers[1:]
		return answer()
	}
	return c.TxStore.ClaimTx(ctx, tx, cl)
}

func TestALostRaceForTheRecordIsTriedInAFreshTransactionAndIsNoAttempt(t *testing.T) {
	b := newBench(t, nil, nil)
	busy := func() (idempotency.Record, error) { return idempotency.Record{Verdict: idempotency.Busy}, nil }
	lost := func() (idempotency.Record, error) { return idempotency.Record{}, idempotency.ErrContended }
	store := &contended{TxStore: b.store, answers: []func() (idempotency.Record, error){busy, lost, busy}}
	mw, err := idempotency.Transaction(idempotency.DB(b.db, nil), store, idempotency.TxConfig{Handler: "h"})
	must(t, err)
	must(t, second(mw(writing)(newMessage(context.Background()))))
	b.holds(1, 1)

	for range 1000 {
		store.answers = append(store.answers, busy)
	}
	mw, err = idempotency.Transaction(idempotency.DB(b.db, nil), store, idempotency.TxConfig{Handler: "h", BusyWait: 30 * time.Millisecond, Observe: b.facts.observe})
	must(t, err)
	_, err = mw(writing)(newMessage(context.Background()))
	if !failure.IsUnavailable(err) || !errors.Is(err, idempotency.ErrBusy) {
		t.Errorf("error %v, want ErrBusy marked as unavailable", err)
	}
	b.holds(1, 1)
	b.facts.want(t, event.Busy)
}
