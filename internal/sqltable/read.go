package sqltable

import (
	"context"
	"database/sql"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
)

// Queryer runs a query; *sql.DB, *sql.Tx and *sql.Conn are ones.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Collect runs a query on x and scans each row.
func Collect[T any](ctx context.Context, t *Tables, x Queryer, query string, args []any, scan func(dbtx.Row) (T, error)) (out []T, err error) {
	rows, err := x.QueryContext(ctx, t.At(query), args...)
	if err != nil {
		return nil, t.Mark(ctx, err)
	}
	defer func() { _ = rows.Close() }() // Err has told of what went wrong
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, t.Mark(ctx, err)
		}
		out = append(out, v)
	}
	return out, t.Mark(ctx, rows.Err())
}

// One is Collect for a query that returns at most one row: sql.ErrNoRows where
// there is none.
func One[T any](ctx context.Context, t *Tables, query string, args []any, scan func(dbtx.Row) (T, error)) (T, error) {
	v, err := scan(t.DB.QueryRowContext(ctx, t.At(query), args...))
	return v, t.Mark(ctx, err)
}

// Micros is a time as it is stored, in microseconds since the Unix epoch; none is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is what Micros has stored, in UTC.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Blob keeps nil as NULL, which an empty interface around a nil slice is not to
// every driver.
func Blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
