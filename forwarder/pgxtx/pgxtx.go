// Package pgxtx lends pgx transactions to Sluicegate: to forwarder.Outbox.Publish
// and to everything that takes a transaction or a runner of transactions.
package pgxtx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicegate/sluicegate/internal/dbtx"
)

// Tx is a pgx transaction in the form that Sluicegate takes. It is as safe for
// concurrent use as the pgx.Tx behind it: not at all.
type Tx struct{ tx pgx.Tx }

// Wrap returns tx in the form that Sluicegate takes. Commit and rollback stay
// the caller's.
func Wrap(tx pgx.Tx) Tx { return Tx{tx: tx} }

// ExecContext runs one statement.
func (t Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return result{tag}, nil
}

// QueryRow runs a query that returns at most one row. Scan returns sql.ErrNoRows
// where there is none.
func (t Tx) QueryRow(ctx context.Context, query string, args ...any) dbtx.Row {
	return row{t.tx.QueryRow(ctx, query, args...)}
}

type result struct{ tag pgconn.CommandTag }

func (r result) RowsAffected() (int64, error) { return r.tag.RowsAffected(), nil }

func (result) LastInsertId() (int64, error) {
	return 0, errors.New("PostgreSQL has no last insert id: use RETURNING")
}

type row struct{ row pgx.Row }

func (r row) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return sql.ErrNoRows
	}
	return err
}

// Beginner begins transactions; *pgxpool.Pool and *pgx.Conn are ones.
type Beginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// Runner returns a runner of transactions on pool with PostgreSQL's default
// isolation. The context of the function that it runs carries the pgx.Tx.
func Runner(pool Beginner) dbtx.Runner { return runner{pool} }

type runner struct{ pool Beginner }

func (r runner) InTx(ctx context.Context, fn func(context.Context, dbtx.Tx) error) (err error) {
	tx, err := r.pool.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		return &dbtx.BeginError{Err: err}
	}
	committed := false
	defer func() {
		// Also reached by a panic or Goexit in fn. The context may have ended;
		// the rollback must be sent all the same.
		if committed {
			return
		}
		if rbErr := tx.Rollback(context.WithoutCancel(ctx)); rbErr != nil && !errors.Is(rbErr, pgx.ErrTxClosed) && err != nil {
			err = errors.Join(err, fmt.Errorf("roll back transaction: %w", rbErr))
		}
	}()
	wrapped := Wrap(tx)
	if err := fn(dbtx.With(ctx, wrapped, tx), wrapped); err != nil {
		return err
	}
	committed = true
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// From returns the pgx transaction that ctx carries.
func From(ctx context.Context) (pgx.Tx, bool) { return dbtx.Native[pgx.Tx](ctx) }
