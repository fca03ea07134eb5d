package dbtx_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/dbtx"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE TABLE t (a INTEGER)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func insert(ctx context.Context, tx dbtx.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (1)")
	return err
}

func TestInTxCommitsOnNilAndRollsBackOnErrorAndPanic(t *testing.T) {
	db := open(t)
	run := dbtx.DB(db, nil)
	if err := run.InTx(t.Context(), insert); err != nil || count(t, db) != 1 {
		t.Fatalf("commit: %v, %d rows", err, count(t, db))
	}
	boom := errors.New("boom")
	err := run.InTx(t.Context(), func(ctx context.Context, tx dbtx.Tx) error {
		return errors.Join(insert(ctx, tx), boom)
	})
	if !errors.Is(err, boom) || count(t, db) != 1 {
		t.Fatalf("error: %v, %d rows", err, count(t, db))
	}
	func() {
		defer func() { _ = recover() }()
		_ = run.InTx(t.Context(), func(ctx context.Context, tx dbtx.Tx) error {
			_ = insert(ctx, tx)
			panic("boom")
		})
	}()
	if count(t, db) != 1 { // would also hang on the one connection, had the transaction stayed open
		t.Fatal("a panic committed")
	}
}

func TestTheContextCarriesTheTransaction(t *testing.T) {
	db := open(t)
	err := dbtx.DB(db, nil).InTx(t.Context(), func(ctx context.Context, tx dbtx.Tx) error {
		if got, ok := dbtx.From(ctx); !ok || got != tx {
			t.Error("From does not return the transaction")
		}
		if _, ok := dbtx.Native[*sql.Tx](ctx); !ok {
			t.Error("Native does not return the *sql.Tx")
		}
		if _, ok := dbtx.Native[string](ctx); ok {
			t.Error("Native returns another type")
		}
		var n int
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM t").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := dbtx.From(t.Context()); ok {
		t.Error("a bare context carries a transaction")
	}
}

func TestABeginThatFailsSaysThatNothingWasDone(t *testing.T) {
	db := open(t)
	_ = db.Close()
	err := dbtx.DB(db, nil).InTx(t.Context(), insert)
	var begin *dbtx.BeginError
	if !errors.As(err, &begin) {
		t.Fatalf("got %v, want a BeginError", err)
	}
}
