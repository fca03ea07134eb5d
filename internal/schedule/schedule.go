package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Config configures New.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect sqldialect.Dialect
	// Schema (PostgreSQL) or database (MySQL) of the table. Default: the
	// connection's own.
	Schema string
	// Prefix of the table's name. Default: "sluicegate_".
	Prefix string
	// Now is the clock, for tests. Default: the database's.
	Now func() time.Time
}

// Schedule keeps tasks in one table. It is safe for concurrent use. An error
// that says that the database could not be reached is marked
// failure.Unavailable.
type Schedule struct {
	db      *sql.DB
	dialect sqldialect.Dialect
	now     func() time.Time
	q       queries
}

// New returns a schedule on db, whose migrations must have run.
func New(db *sql.DB, cfg Config) (*Schedule, error) {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, n)
	if err != nil {
		return nil, err
	}
	return &Schedule{db: db, dialect: d, now: cfg.Now, q: newQueries(d, n.Table(d, schema.Task), n.Plain(schema.Task))}, nil
}

// nowMark stands for the clock in a query.
const nowMark = "{now}"

// at puts the clock into a query and numbers its placeholders.
func (s *Schedule) at(query string) string {
	now := s.dialect.Instant()
	if s.now != nil {
		now = strconv.FormatInt(s.now().UnixMicro(), 10)
	}
	return s.dialect.Bind(strings.ReplaceAll(query, nowMark, now))
}

// exec runs a statement and returns how many rows it changed.
func (s *Schedule) exec(ctx context.Context, x dbtx.Executor, query string, args ...any) (int64, error) {
	res, err := x.ExecContext(ctx, s.at(query), args...)
	if err != nil {
		return 0, s.mark(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// mark says of an error of the database whether it lost a race, or the database
// could not be reached.
func (s *Schedule) mark(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case s.dialect.IsContention(err):
		return fmt.Errorf("%w: %w", ErrContended, err)
	case s.dialect.IsUnavailable(err) || errors.Is(err, sql.ErrConnDone):
		return failure.Unavailable(err)
	}
	return err
}

// tries bounds how often an operation begins again after it lost a race.
const tries = 5

// again runs fn until it does not lose a race.
func again(ctx context.Context, fn func() error) error {
	pause := backoff.Policy{Initial: 2 * time.Millisecond, Max: 50 * time.Millisecond, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := fn()
		if err == nil || n == tries || !errors.Is(err, ErrContended) {
			return err
		}
		if backoff.Wait(ctx, pause.Delay(n)) != nil {
			return err
		}
	}
}

// inTx runs fn in a short transaction of the schedule's own, again where that
// loses a race.
func (s *Schedule) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return again(ctx, func() error { return s.mark(ctx, s.once(ctx, fn)) })
}

func (s *Schedule) once(ctx context.Context, fn func(tx *sql.Tx) error) (err error) {
	tx, err := s.db.BeginTx(ctx, s.dialect.TxOptions())
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() {
		if rbErr := tx.Rollback(); rbErr != nil && !errors.Is(rbErr, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, fmt.Errorf("roll back transaction: %w", rbErr))
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
