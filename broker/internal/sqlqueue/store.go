package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// store runs statements.
type store struct {
	db      *sql.DB
	dialect sqldialect.Dialect
	names   sqldialect.Names
	tables  tables
	migrate bool

	prepared  atomic.Bool
	preparing chan struct{} // held by who looks after the tables
	topics    sync.Map      // name -> int64
	packet    atomic.Int64  // MySQL: max_allowed_packet, 0 while unknown
}

func newStore(db *sql.DB, d Database, migrate bool) *store {
	return &store{
		db: db, dialect: d.Dialect, names: d.Names, tables: newTables(d.Dialect, d.Names),
		migrate: migrate, preparing: make(chan struct{}, 1),
	}
}

// ready sees to it, once, that the tables are there.
func (s *store) ready(ctx context.Context) error {
	if s.prepared.Load() {
		return nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return failure.Unavailable(fmt.Errorf("wait for the tables: %w", context.Cause(ctx)))
	}
	if s.prepared.Load() {
		return nil
	}
	err := schema.Check(s.unbroken(ctx), s.db, s.dialect, s.names)
	if err != nil && ctx.Err() == nil && !s.dialect.IsUnavailable(cause(err)) && s.migrate {
		_, err = schema.Up(s.unbroken(ctx), s.db, s.dialect, s.names)
	}
	if err == nil && s.dialect == sqldialect.MySQL {
		var packet int64
		if err = s.db.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&packet); err == nil {
			s.packet.Store(packet)
		}
	}
	if err != nil {
		return failure.Unavailable(s.mark(ctx, "prepare the tables", err)) // says nothing about a message
	}
	s.prepared.Store(true)
	return nil
}

// cause finds the database's own error in what schema.Check returns, which says
// in the same breath that the schema is outdated.
func cause(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if all := joined.Unwrap(); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return err
}

// unbroken returns the context for a statement. SQLite's does not end:
// modernc.org/sqlite can leave the write lock behind when a statement is
// interrupted inside a transaction, and there is no network to wait for.
func (s *store) unbroken(ctx context.Context) context.Context {
	if s.dialect == sqldialect.SQLite {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// mark says of err whether it was the database's absence: that of a lost race
// as well, which says nothing about a message.
func (s *store) mark(ctx context.Context, verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return failure.Unavailable(fmt.Errorf("%s: %w (%w)", verb, context.Cause(ctx), err))
	case s.dialect.IsUnavailable(cause(err)), s.dialect.IsContention(err), errors.Is(err, sql.ErrConnDone):
		return failure.Unavailable(fmt.Errorf("%s: %w", verb, err))
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// inTx runs fn in a transaction.
func (s *store) inTx(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	begin := s.db.BeginTx // which replaces connections that were lost
	if s.dialect == sqldialect.SQLite {
		// The wait for the one connection ends with ctx, what follows does not.
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		begin, ctx = conn.BeginTx, s.unbroken(ctx)
	}
	tx, err := begin(ctx, s.dialect.TxOptions())
	if err != nil {
		return failure.Unavailable(err) // a certificate or a password that is refused, too: nothing was done
	}
	if err := fn(ctx, tx); err != nil {
		_ = tx.Rollback() // err says it all, and must stay recognisable
		return err
	}
	return tx.Commit()
}

// races is how often a transaction that lost a race is tried again.
const races = 10

// retried runs fn again while it loses races.
func (s *store) retried(ctx context.Context, fn func() error) error {
	policy := backoff.Policy{Initial: 2 * time.Millisecond, Max: 200 * time.Millisecond, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := fn()
		if err == nil || n == races || !s.dialect.IsContention(err) || backoff.Wait(ctx, policy.Delay(n)) != nil {
			return err
		}
	}
}
