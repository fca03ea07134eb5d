package httpidem_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/sluicegate/sluicegate/httpidem"
)

func coupons(t *testing.T) *sql.DB {
	t.Helper()
	db := sqlite(t)
	for _, q := range []string{
		"CREATE TABLE coupons (code TEXT PRIMARY KEY, owner TEXT NOT NULL UNIQUE, amount INTEGER NOT NULL CHECK (amount > 0))",
		"CREATE TABLE audit (text TEXT NOT NULL)",
	} {
		_, err := db.Exec(q)
		must(t, err)
	}
	return db
}

type coupon struct {
	owner  string
	amount int
}

// store inserts a coupon on x, or loads the one of its code.
func store(ctx context.Context, tx *sql.Tx, code, owner string, amount int) (coupon, bool, error) {
	return httpidem.OnConflict(ctx, httpidem.SQL(tx),
		func(ctx context.Context) (coupon, error) {
			if _, err := tx.ExecContext(ctx, "INSERT INTO audit (text) VALUES (?)", "insert "+code); err != nil {
				return coupon{}, err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO coupons (code, owner, amount) VALUES (?, ?, ?)", code, owner, amount)
			return coupon{owner, amount}, err
		},
		func(ctx context.Context) (c coupon, err error) {
			err = tx.QueryRowContext(ctx, "SELECT owner, amount FROM coupons WHERE code = ?", code).Scan(&c.owner, &c.amount)
			return c, err
		})
}

func TestAUniqueIndexGivesTheRowThatIsThere(t *testing.T) {
	db, ctx := coupons(t), t.Context()
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	got, existed, err := store(ctx, tx, "x", "a", 5)
	if got != (coupon{"a", 5}) || existed || err != nil {
		t.Fatalf("%+v, %v, %v", got, existed, err)
	}
	got, existed, err = store(ctx, tx, "x", "b", 9)
	if got != (coupon{"a", 5}) || !existed || err != nil {
		t.Fatalf("again: %+v, %v, %v", got, existed, err)
	}
	// A violation of something else is an error.
	if _, _, err := store(ctx, tx, "y", "c", -1); err == nil || errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a check: %v", err)
	}
	if _, _, err := store(ctx, tx, "z", "a", 1); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("another unique index: %v, want one that wraps sql.ErrNoRows", err)
	}
	must(t, tx.Commit())
	var coupons, audit int
	must(t, db.QueryRow("SELECT (SELECT COUNT(*) FROM coupons), (SELECT COUNT(*) FROM audit)").Scan(&coupons, &audit))
	// What else an insert that met a row has done is undone with it; the check's
	// savepoint was left, as any other error's is.
	if coupons != 1 || audit != 2 {
		t.Errorf("%d coupons, %d lines of audit; want 1 and 2", coupons, audit)
	}
}

func TestStatementsThatStandAlone(t *testing.T) {
	db, ctx := coupons(t), t.Context()
	insert := func(owner string) (string, bool, error) {
		return httpidem.OnConflict(ctx, nil,
			func(ctx context.Context) (string, error) {
				_, err := db.ExecContext(ctx, "INSERT INTO coupons (code, owner, amount) VALUES ('x', ?, 1)", owner)
				return owner, err
			},
			func(ctx context.Context) (s string, err error) {
				return s, db.QueryRowContext(ctx, "SELECT owner FROM coupons WHERE code = 'x'").Scan(&s)
			})
	}
	if got, existed, err := insert("a"); got != "a" || existed || err != nil {
		t.Errorf("%q, %v, %v", got, existed, err)
	}
	if got, existed, err := insert("b"); !existed || err != nil || got != "a" {
		t.Errorf("again: %q, %v, %v", got, existed, err)
	}
}

func TestATransactionThatIsOverIsAnError(t *testing.T) {
	db := coupons(t)
	tx, err := db.Begin()
	must(t, err)
	must(t, tx.Rollback())
	if _, _, err := store(t.Context(), tx, "x", "a", 1); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("error %v", err)
	}
}
