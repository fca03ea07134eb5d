package httpidem

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// savepoint is nested by none: a second one of the name hides the first until it is
// released.
const savepoint = "sluicegate_insert"

// OnConflict is the last guard: it runs insert, and where that violates a unique
// index (23505 in PostgreSQL, 1062 in MySQL and MariaDB, 2067 or 1555 in SQLite), it
// runs load, and returns the row that is there, and existed. Any other error of
// insert is returned.
//
// Where both run in a transaction, tx is that one (SQL wraps a *sql.Tx), and insert runs
// behind a savepoint: PostgreSQL aborts a transaction whose statement has failed, and
// refuses load, and all that comes after it, unless it is rolled back to there. What else
// insert has done is undone with it. A nil tx says that the statements stand alone.
//
// Load finds the row by what the index is on. Where it returns an error, as sql.ErrNoRows
// where another index was violated, or the row is gone, both errors are returned,
// wrapped. A row that was committed after the transaction took its snapshot is not found
// under REPEATABLE READ, which is the default of MySQL and MariaDB: let load read with FOR
// UPDATE or LOCK IN SHARE MODE, or run under READ COMMITTED.
func OnConflict[T any](ctx context.Context, tx Tx, insert, load func(ctx context.Context) (T, error)) (row T, existed bool, err error) {
	var none T
	if tx != nil {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT "+savepoint); err != nil {
			return none, false, fmt.Errorf("set savepoint: %w", err)
		}
	}
	row, failed := insert(ctx)
	duplicate := failed != nil && sqldialect.IsDuplicateAnywhere(failed)
	if tx != nil && (failed == nil || duplicate) {
		if err := leave(ctx, tx, duplicate); err != nil {
			return none, false, errors.Join(failed, err)
		}
	}
	switch {
	case failed == nil:
		return row, false, nil
	case !duplicate:
		return none, false, fmt.Errorf("insert: %w", failed)
	}
	if row, err = load(ctx); err != nil {
		return none, false, fmt.Errorf("load the row that is there: %w (insert: %w)", err, failed)
	}
	return row, true, nil
}

// leave ends the savepoint, with what was done since undone or not.
func leave(ctx context.Context, tx Tx, undo bool) error {
	if undo {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
			return fmt.Errorf("roll back to savepoint: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	return nil
}
