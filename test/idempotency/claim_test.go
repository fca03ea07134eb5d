package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/test/place"
)

// begin opens a transaction for a claim by hand.
func begin(t *testing.T, s *shop) *sql.Tx {
	t.Helper()
	tx, err := s.Begin()
	place.Must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (s *shop) claimIn(ctx context.Context, tx *sql.Tx) (idempotency.Record, error) {
	return s.store.ClaimTx(ctx, dbtx.SQL(tx), idempotency.Claim{Key: idempotency.Key{Handler: "stock", ID: "1"}, Retention: time.Hour})
}

func TestOnPostgreSQLAConcurrentDuplicateIsBusyAtOnce(t *testing.T) {
	s := newShop(t, sqldialect.PostgreSQL, "", nil)
	for _, end := range []struct {
		name string
		end  func(*sql.Tx) error
		then idempotency.Verdict
	}{{"rollback", (*sql.Tx).Rollback, idempotency.Won}, {"commit", (*sql.Tx).Commit, idempotency.Finished}} {
		first := begin(t, s)
		if rec, err := s.claimIn(t.Context(), first); err != nil || rec.Verdict != idempotency.Won {
			t.Fatalf("first: %+v, %v; want won", rec, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		second := begin(t, s)
		rec, err := s.claimIn(ctx, second)
		cancel()
		if err != nil || rec.Verdict != idempotency.Busy {
			t.Fatalf("second while the first is open: %+v, %v; want busy", rec, err)
		}
		place.Must(t, end.end(first))
		// In the same transaction: the answer has not spoiled it.
		if rec, err := s.claimIn(t.Context(), second); err != nil || rec.Verdict != end.then {
			t.Fatalf("second after the %s: %+v, %v; want verdict %v", end.name, rec, err, end.then)
		}
		place.Must(t, second.Rollback())
	}
}

func TestOnMariaDBAConcurrentDuplicateWaitsWithinItsContext(t *testing.T) {
	s := newShop(t, sqldialect.MySQL, "", nil)
	first := begin(t, s)
	if rec, err := s.claimIn(t.Context(), first); err != nil || rec.Verdict != idempotency.Won {
		t.Fatalf("first: %+v, %v; want won", rec, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	second := begin(t, s)
	if _, err := s.claimIn(ctx, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("second while the first is open: %v, want the end of its context", err)
	}
	place.Must(t, first.Commit())
	if rec, err := s.claimIn(t.Context(), begin(t, s)); err != nil || rec.Verdict != idempotency.Finished {
		t.Fatalf("third: %+v, %v; want finished", rec, err)
	}
}

func TestATransactionThatHasReadBeforeMeetsARecordCommittedSince(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		early := begin(t, s)
		var n int
		place.Must(t, early.QueryRow("SELECT COUNT(*) FROM "+s.Prefix+"effect").Scan(&n)) // takes MariaDB's read view
		place.Must(t, s.deliver(s.write))
		if rec, err := s.claimIn(t.Context(), early); err != nil || rec.Verdict != idempotency.Finished {
			t.Fatalf("%+v, %v; want finished", rec, err)
		}
	})
}

type counting struct {
	dbtx.Tx
	n int
}

func (c *counting) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	c.n++
	return c.Tx.ExecContext(ctx, q, args...)
}

func (c *counting) QueryRow(ctx context.Context, q string, args ...any) dbtx.Row {
	c.n++
	return c.Tx.QueryRow(ctx, q, args...)
}

func TestAClaimInATransactionIsOneStatement(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		tx := &counting{Tx: dbtx.SQL(begin(t, s))}
		claim := idempotency.Claim{Key: idempotency.Key{Handler: "stock", ID: strings.Repeat("long", 100)}, Retention: time.Hour, Attempt: 2}
		if rec, err := s.store.ClaimTx(t.Context(), tx, claim); err != nil || rec.Verdict != idempotency.Won || rec.Attempt != 2 || tx.n != 1 {
			t.Fatalf("%+v, %v after %d statements; want won with attempt 2 after 1", rec, err, tx.n)
		}
	})
}

func TestPurgeRemovesWhatIsOver(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		for _, id := range []string{"a", "b", "c"} {
			claim := idempotency.Claim{Key: idempotency.Key{Handler: "stock", ID: id}, Token: "t", Lease: time.Millisecond}
			if id == "c" {
				claim.Lease = time.Hour
			}
			_, err := s.store.Claim(t.Context(), claim)
			place.Must(t, err)
		}
		pass(5 * time.Millisecond)
		for _, want := range []int64{1, 1, 0} {
			if n, err := s.store.Purge(t.Context(), 1); err != nil || n != want {
				t.Fatalf("Purge = %d, %v; want %d", n, err, want)
			}
		}
	})
}
