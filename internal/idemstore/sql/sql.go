// Package sql keeps idempotency records in the inbox table, in two ways: in
// statements of its own, as an idemstore.Store, and in the transaction of the
// handler, as an idemstore.TxStore.
//
// A record is read, judged by the rules of idemstore.Row, and written back by an
// UPDATE that compares what was read: each statement stands alone, so no lock is
// held between them and the isolation level does not matter.
package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Config configures New.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect sqldialect.Dialect
	// Schema (PostgreSQL) or database (MySQL) of the tables. Default: the
	// connection's own.
	Schema string
	// Prefix of the tables' names. Default: "sluicegate_".
	Prefix string
	// Offset is added to the database's clock, for tests. Default: nothing.
	Offset func() time.Duration
}

// Store keeps records in the inbox table.
type Store struct {
	db      dbtx.Tx
	dialect sqldialect.Dialect
	offset  func() time.Duration
	space   string // tells advisory locks of different tables apart
	q       queries
	batch   batchQueries
}

// New returns a store on db.
func New(db *stdsql.DB, cfg Config) (*Store, error) {
	names := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, names)
	if err != nil {
		return nil, err
	}
	table := names.Table(d, schema.Inbox)
	return &Store{db: pool{db}, dialect: d, offset: cfg.Offset, space: table, q: newQueries(d, table), batch: newBatchQueries(d, table)}, nil
}

// pool runs each statement by itself.
type pool struct{ *stdsql.DB }

func (p pool) QueryRow(ctx context.Context, query string, args ...any) dbtx.Row {
	return p.QueryRowContext(ctx, query, args...)
}

// at puts the clock into a query.
func (s *Store) at(query string) string {
	return strings.ReplaceAll(query, nowMark, s.moved(s.dialect.Now()))
}

// moved is a clock with the offset of a test.
func (s *Store) moved(clock string) string {
	if s.offset == nil {
		return clock
	}
	return "(" + clock + " + " + strconv.FormatInt(s.offset().Microseconds(), 10) + ")"
}

// mark says of an error of the database whether it lost a race, or the database
// could not be reached.
func (s *Store) mark(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case s.dialect.IsContention(err):
		return fmt.Errorf("%w: %w", idemstore.ErrContended, err)
	case s.dialect.IsUnavailable(err) || errors.Is(err, stdsql.ErrConnDone):
		return failure.Unavailable(err)
	}
	return err
}

// attempts bounds the reads of one operation: each lost race is another's
// success, so there is an end to them, but a caller should not wait for it.
const attempts = 16

// Claim asks for the record: one statement where there is none yet.
func (s *Store) Claim(ctx context.Context, c idemstore.Claim) (rec idemstore.Record, err error) {
	c, err = c.Normalize()
	if err != nil {
		return idemstore.Record{}, err
	}
	fresh, rec := idemstore.Row{}.Claim(c, 0)
	inserted, err := s.insert(ctx, s.db, c.Key, fresh)
	if err != nil {
		return idemstore.Record{}, fmt.Errorf("claim in inbox: %w", s.mark(ctx, err))
	}
	if inserted {
		return rec, nil
	}
	err = s.change(ctx, s.db, c.Key, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		r, rec = r.Claim(c, now)
		return r, nil
	})
	if err != nil {
		return idemstore.Record{}, fmt.Errorf("claim in inbox: %w", err)
	}
	return rec, nil
}

// Extend lengthens the owner's lease.
func (s *Store) Extend(ctx context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if err := idemstore.CheckTerm("lease", lease); err != nil {
		return err
	}
	return s.owned(ctx, "extend lease in inbox", k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Extend(token, lease, now)
	})
}

// Complete marks the owner's record done.
func (s *Store) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := idemstore.CheckTerm("retention", retention); err != nil {
		return err
	}
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	// The usual case takes one statement.
	res, err := s.db.ExecContext(ctx, s.at(s.q.complete), blob(result), retention.Microseconds(), k.Handler, k.ID, token)
	if n, err := affected(res, err); err != nil {
		return fmt.Errorf("complete in inbox: %w", s.mark(ctx, err))
	} else if n == 1 {
		return nil
	}
	return s.owned(ctx, "complete in inbox", k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Complete(token, result, retention, now)
	})
}

// Release gives the owner's record up.
func (s *Store) Release(ctx context.Context, k idemstore.Key, token string) error {
	return s.owned(ctx, "release in inbox", k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Release(token, now)
	})
}

func (s *Store) owned(ctx context.Context, verb string, k idemstore.Key, fn rule) error {
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	err = s.change(ctx, s.db, k, fn)
	if err != nil && !errors.Is(err, idemstore.ErrLeaseLost) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return err
}

// Transition moves a record that nobody holds.
func (s *Store) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	return s.TransitionTx(ctx, s.db, k, t)
}

// TransitionTx is Transition within tx.
func (s *Store) TransitionTx(ctx context.Context, tx dbtx.Tx, k idemstore.Key, t idemstore.Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	err = s.change(ctx, tx, k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Transition(t, now)
	})
	if err != nil && !errors.Is(err, idemstore.ErrConflict) {
		return fmt.Errorf("move record in inbox: %w", err)
	}
	return err
}

// Purge removes up to limit records whose time is over, the longest over
// first, and returns how many it removed. Records that are over count as absent
// without it; it keeps the table small.
func (s *Store) Purge(ctx context.Context, limit int) (int64, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: purge limit %d: must be at least 1", idemstore.ErrInvalid, limit)
	}
	// Neither a clock that moves nor a limit that is a parameter lets PostgreSQL
	// read along the index.
	query := strings.NewReplacer(instantMark, s.moved(s.dialect.Instant()), limitMark, strconv.Itoa(limit)).Replace(s.q.purge)
	res, err := s.db.ExecContext(ctx, query)
	n, err := affected(res, err)
	if err != nil {
		return 0, fmt.Errorf("purge inbox: %w", s.mark(ctx, err))
	}
	return n, nil
}
