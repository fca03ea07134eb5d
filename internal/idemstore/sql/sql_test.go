package sql_test

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func open(t *testing.T, prefixes ...string) *stdsql.DB {
	t.Helper()
	db := sqlitetest.Durable(t)
	for _, prefix := range append(prefixes, "") {
		if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{Prefix: prefix}); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

type clock struct{ offset atomic.Int64 }

func (c *clock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func store(t *testing.T, db *stdsql.DB, c *clock, prefix string) *sql.Store {
	t.Helper()
	s, err := sql.New(db, sql.Config{Prefix: prefix, Offset: c.Offset})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptied returns the database that the cases of one test share, without records.
func emptied(t *testing.T, db *stdsql.DB) *stdsql.DB {
	t.Helper()
	for _, prefix := range []string{"sluicegate_", "other_"} {
		if _, err := db.ExecContext(t.Context(), "DELETE FROM "+prefix+"inbox"); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestTheSQLStoreConformsOnSQLite(t *testing.T) {
	shared := open(t, "other_")
	storetest.Run(t, storetest.Harness{
		New: func(t *testing.T) storetest.Fixture {
			t.Helper()
			db, c := emptied(t, shared), &clock{}
			return storetest.Fixture{Store: store(t, db, c, ""), Other: store(t, db, c, "other_"), Advance: c.advance}
		},
		Lacks: []storetest.Feature{storetest.Outage},
	})
}

func TestTheSQLStoreConformsInTheHandlersTransactionOnSQLite(t *testing.T) {
	shared := open(t, "other_")
	storetest.Run(t, storetest.Harness{
		New: func(t *testing.T) storetest.Fixture {
			t.Helper()
			db, c := emptied(t, shared), &clock{}
			tx, other := storetest.Tx(db, nil, store(t, db, c, "")), storetest.Tx(db, nil, store(t, db, c, "other_"))
			t.Cleanup(func() { _, _ = tx.Close(), other.Close() })
			return storetest.Fixture{Store: tx, Other: other, Advance: c.advance}
		},
		Lacks: storetest.TxLacks,
	})
}

func TestPurgeRemovesWhatIsOverAndNothingElse(t *testing.T) {
	db, c := open(t), &clock{}
	s, ctx := store(t, db, c, ""), t.Context()
	key := func(name string, i int) idemstore.Key {
		return idemstore.Key{Handler: "h", ID: fmt.Sprint(name, i)}
	}
	for i := range 10 {
		for name, retention := range map[string]time.Duration{"brief": time.Minute, "long": time.Hour} {
			if _, err := s.Claim(ctx, idemstore.Claim{Key: key(name, i), Token: "t", Lease: time.Second}); err != nil {
				t.Fatal(err)
			}
			if err := s.Complete(ctx, key(name, i), "t", nil, retention); err != nil {
				t.Fatal(err)
			}
		}
	}
	dead := idemstore.Transition{From: []idemstore.State{idemstore.Absent}, To: idemstore.Dead}
	if err := s.Transition(ctx, key("dead", 0), dead); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Minute)
	for _, want := range []int64{4, 4, 2, 0} {
		if n, err := s.Purge(ctx, 4); err != nil || n != want {
			t.Fatalf("Purge = %d, %v; want %d", n, err, want)
		}
	}
	var left int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sluicegate_inbox").Scan(&left); err != nil || left != 11 {
		t.Fatalf("%d records are left (%v), want 11", left, err)
	}
	if _, err := s.Purge(ctx, 0); err == nil {
		t.Error("a limit of 0 was taken")
	}
}

// countingTx counts statements.
type countingTx struct {
	dbtx.Tx
	n int
}

func (c *countingTx) ExecContext(ctx context.Context, q string, args ...any) (stdsql.Result, error) {
	c.n++
	return c.Tx.ExecContext(ctx, q, args...)
}

func (c *countingTx) QueryRow(ctx context.Context, q string, args ...any) dbtx.Row {
	c.n++
	return c.Tx.QueryRow(ctx, q, args...)
}

func TestAClaimInATransactionIsOneStatementAndStoresTheAttempt(t *testing.T) {
	db, c := open(t), &clock{}
	s := store(t, db, c, "")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingTx{Tx: dbtx.SQL(tx)}
	cl := idemstore.Claim{Key: idemstore.Key{Handler: "h", ID: "x"}, Retention: time.Hour, Attempt: 3}
	rec, err := s.ClaimTx(t.Context(), counting, cl)
	if err != nil || rec.Verdict != idemstore.Won || rec.Attempt != 3 || counting.n != 1 {
		t.Fatalf("%+v, %v after %d statements; want won with attempt 3 after 1", rec, err, counting.n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var status string
	var attempts int
	if err := db.QueryRowContext(t.Context(), "SELECT status, attempts FROM sluicegate_inbox").Scan(&status, &attempts); err != nil {
		t.Fatal(err)
	}
	if status != "done" || attempts != 3 {
		t.Fatalf("row is %s after %d attempts, want done after 3", status, attempts)
	}
}

func TestWhatIsWrongWithAConfigurationIsNamed(t *testing.T) {
	db := open(t)
	for field, cfg := range map[string]sql.Config{
		"Dialect": {Dialect: 9}, "Schema": {Schema: "x"}, "Prefix": {Prefix: "a-b"},
	} {
		if _, err := sql.New(db, cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%+v: error %v, want one that names Config.%s", cfg, err, field)
		}
	}
	if _, err := sql.New(nil, sql.Config{}); err == nil {
		t.Error("a nil database was taken")
	}
}

func TestTheSQLStoreClaimsInBatches(t *testing.T) {
	c := &clock{}
	db := open(t)
	storetest.RunBatch(t, db, nil, store(t, db, c, ""), c.advance)
}
