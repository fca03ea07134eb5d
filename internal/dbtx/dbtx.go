// Package dbtx is the least that Sluicegate needs of a database transaction,
// so that database/sql, pgx and ORMs can each lend theirs.
package dbtx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Executor runs one statement; *sql.Tx, *sql.DB, *sql.Conn and GORM's
// ConnPool are ones.
type Executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Row is the one row of a query; *sql.Row and pgx.Row are ones.
type Row interface {
	Scan(dest ...any) error
}

// Tx is an open transaction.
type Tx interface {
	Executor
	// QueryRow runs a query that returns at most one row. Scan returns
	// sql.ErrNoRows where there is none.
	QueryRow(ctx context.Context, query string, args ...any) Row
}

// Runner runs a function in a transaction of its own: commit where fn returns
// nil, roll back where it returns an error or panics. The context given to fn
// carries the native transaction. An error of the commit itself is returned;
// whether it took effect is then unknown.
type Runner interface {
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}

type txKey struct{}

type carried struct {
	tx     Tx
	native any
}

// With returns a context that carries tx and the native transaction behind it.
func With(ctx context.Context, tx Tx, native any) context.Context {
	return context.WithValue(ctx, txKey{}, carried{tx: tx, native: native})
}

// From returns the transaction that ctx carries.
func From(ctx context.Context) (Tx, bool) {
	c, ok := ctx.Value(txKey{}).(carried)
	return c.tx, ok && c.tx != nil
}

// Native returns the transaction that ctx carries as its library's own type,
// such as *sql.Tx or pgx.Tx.
func Native[T any](ctx context.Context) (T, bool) {
	c, _ := ctx.Value(txKey{}).(carried)
	t, ok := c.native.(T)
	return t, ok
}

// SQL wraps a *sql.Tx.
func SQL(tx *sql.Tx) Tx { return sqlTx{tx} }

type sqlTx struct{ *sql.Tx }

func (t sqlTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return t.QueryRowContext(ctx, query, args...)
}

// DB returns a Runner on db with the given options, which may be nil.
func DB(db *sql.DB, opts *sql.TxOptions) Runner { return dbRunner{db: db, opts: opts} }

type dbRunner struct {
	db   *sql.DB
	opts *sql.TxOptions
}

// BeginError says that no transaction could be begun: nothing has been done.
type BeginError struct{ Err error }

func (e *BeginError) Error() string { return fmt.Sprintf("begin transaction: %v", e.Err) }

// Unwrap returns the driver's error.
func (e *BeginError) Unwrap() error { return e.Err }

func (r dbRunner) InTx(ctx context.Context, fn func(context.Context, Tx) error) (err error) {
	tx, err := r.db.BeginTx(ctx, r.opts)
	if err != nil {
		return &BeginError{Err: err}
	}
	committed := false
	defer func() {
		// Also reached by a panic or Goexit in fn: the transaction must not
		// outlive the attempt.
		if committed {
			return
		}
		if rbErr := tx.Rollback(); rbErr != nil && !errors.Is(rbErr, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, fmt.Errorf("roll back transaction: %w", rbErr))
		}
	}()
	t := SQL(tx)
	if err := fn(With(ctx, t, tx), t); err != nil {
		return err
	}
	committed = true
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
