package sqltable

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
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// ErrContended says that a race for a row was lost: a fresh transaction can win it.
var ErrContended = errors.New("a race in the database was lost")

// tries bounds how often work begins again after it lost a race.
const tries = 5

// Tables are some tables in one database.
type Tables struct {
	DB      *sql.DB
	Dialect sqldialect.Dialect

	now   func() time.Time
	texts *strings.Replacer
	run   dbtx.Runner
}

// New returns the tables that marks names: the mark, without its braces, and the
// plain name. now is the clock; nil is the database's.
func New(db *sql.DB, d sqldialect.Dialect, n sqldialect.Names, now func() time.Time, marks map[string]string) Tables {
	number := "CAST(? AS BIGINT)"
	if d == sqldialect.MySQL {
		number = "CAST(? AS SIGNED)"
	}
	pairs := []string{"{number}", number}
	if now == nil {
		pairs = append(pairs, "{now}", d.Instant())
	}
	for mark, name := range marks {
		pairs = append(pairs, "{"+mark+"}", n.Table(d, name))
	}
	return Tables{DB: db, Dialect: d, now: now, texts: strings.NewReplacer(pairs...), run: dbtx.DB(db, d.TxOptions())}
}

// At returns the text as the database wants it. Beside the tables it may have
// {now}, the microseconds since the Unix epoch at the beginning of the statement,
// and {number}, an argument that the database could not tell to be one.
func (t *Tables) At(query string) string {
	query = t.texts.Replace(query)
	if t.now != nil {
		query = strings.ReplaceAll(query, "{now}", strconv.FormatInt(t.now().UnixMicro(), 10))
	}
	return t.Dialect.Bind(query)
}

// Exec runs a statement on x and returns how many rows it changed.
func (t *Tables) Exec(ctx context.Context, x dbtx.Executor, query string, args ...any) (int64, error) {
	res, err := x.ExecContext(ctx, t.At(query), args...)
	if err != nil {
		return 0, t.Mark(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// Mark says of an error of the database what it means: ErrContended, or
// failure.Unavailable where the database could not be reached. An error after the
// end of ctx says nothing, and is returned as it is.
func (t *Tables) Mark(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, ErrContended), failure.IsUnavailable(err):
		return err
	case t.Dialect.IsContention(err):
		return fmt.Errorf("%w: %w", ErrContended, err)
	case t.Dialect.IsUnavailable(err), errors.Is(err, sql.ErrConnDone):
		return failure.Unavailable(err)
	}
	return err
}

// InTx runs fn in a short transaction, and again, five times in all, where that
// loses a race. fn must not call out.
func (t *Tables) InTx(ctx context.Context, fn func(ctx context.Context, tx dbtx.Tx) error) error {
	return Again(ctx, func() error { return t.Mark(ctx, t.run.InTx(ctx, fn)) })
}

// Again runs fn until it does not lose a race, five times at most.
func Again(ctx context.Context, fn func() error) error {
	pause := backoff.Policy{Initial: 2 * time.Millisecond, Max: 50 * time.Millisecond, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := fn()
		if err == nil || n == tries || !errors.Is(err, ErrContended) || backoff.Wait(ctx, pause.Delay(n)) != nil {
			return err
		}
	}
}

// Clock reads the clock.
func (t *Tables) Clock(ctx context.Context) (time.Time, error) {
	if t.now != nil {
		return t.now(), nil
	}
	var us int64
	if err := t.DB.QueryRowContext(ctx, t.At("SELECT {now}")).Scan(&us); err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", t.Mark(ctx, err))
	}
	return Time(us), nil
}
