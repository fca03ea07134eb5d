package notify

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
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// store runs statements on the tables.
type store struct {
	db      *sql.DB
	dialect sqldialect.Dialect
	names   sqldialect.Names
	now     func() time.Time
	tables  *strings.Replacer
	runner  dbtx.Runner
}

// In queries the tables are {target}, {message}, {attempt} and {action}, and {now} is the clock.
func newStore(db *sql.DB, d sqldialect.Dialect, n sqldialect.Names, now func() time.Time) store {
	return store{
		db: db, dialect: d, names: n, now: now, runner: dbtx.DB(db, d.TxOptions()),
		tables: strings.NewReplacer(
			"{target}", n.Table(d, schema.NotifyTarget), "{message}", n.Table(d, schema.NotifyMessage),
			"{attempt}", n.Table(d, schema.NotifyAttempt), "{action}", n.Table(d, schema.NotifyAction),
			"{number}", map[bool]string{true: "CAST(? AS SIGNED)", false: "CAST(? AS BIGINT)"}[d == sqldialect.MySQL],
		),
	}
}

func (s *store) at(query string) string {
	now := s.dialect.Instant()
	if s.now != nil {
		now = strconv.FormatInt(s.now().UnixMicro(), 10)
	}
	return s.dialect.Bind(strings.ReplaceAll(s.tables.Replace(query), "{now}", now))
}

// exec runs a statement and returns how many rows it changed.
func (s *store) exec(ctx context.Context, x dbtx.Executor, query string, args ...any) (int64, error) {
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

// mark says of an error of the database that it could not be reached.
func (s *store) mark(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || failure.IsUnavailable(err) {
		return err
	}
	if s.dialect.IsUnavailable(err) || errors.Is(err, sql.ErrConnDone) {
		return failure.Unavailable(err)
	}
	return err
}

// tries bounds how often a short transaction begins again after it lost a race.
const tries = 5

// inTx runs fn in a short transaction, again where that loses a race.
func (s *store) inTx(ctx context.Context, fn func(ctx context.Context, tx dbtx.Tx) error) error {
	pause := backoff.Policy{Initial: 2 * time.Millisecond, Max: 50 * time.Millisecond, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := s.runner.InTx(ctx, fn)
		contended := s.dialect.IsContention(err) || errors.Is(err, schedule.ErrContended)
		if err == nil || !contended || n == tries || backoff.Wait(ctx, pause.Delay(n)) != nil {
			return s.mark(ctx, err)
		}
	}
}

type scanner interface{ Scan(dest ...any) error }

// collect runs a query and scans each row.
func collect[T any](ctx context.Context, s *store, query string, args []any, scan func(scanner) (T, error)) (out []T, err error) {
	rows, err := s.db.QueryContext(ctx, s.at(query), args...)
	if err != nil {
		return nil, s.mark(ctx, err)
	}
	defer func() { _ = rows.Close() }() // Err has told of what went wrong
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, s.mark(ctx, rows.Err())
}

// one is collect for at most one row; ErrNotFound where there is none.
func one[T any](ctx context.Context, s *store, query string, args []any, scan func(scanner) (T, error)) (T, error) {
	v, err := scan(s.db.QueryRowContext(ctx, s.at(query), args...))
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, s.mark(ctx, err)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
