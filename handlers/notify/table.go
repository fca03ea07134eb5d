package notify

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

func newTables(db *sql.DB, d sqldialect.Dialect, n sqldialect.Names, now func() time.Time) sqltable.Tables {
	return sqltable.New(db, d, n, now, map[string]string{
		"target": schema.NotifyTarget, "message": schema.NotifyMessage, "attempt": schema.NotifyAttempt, "action": schema.NotifyAction,
	})
}

// collect runs a query and scans each row.
func collect[T any](ctx context.Context, n *Notifier, query string, args []any, scan func(dbtx.Row) (T, error)) ([]T, error) {
	return sqltable.Collect(ctx, &n.db, n.db.DB, query, args, scan)
}

// one is collect for at most one row; ErrNotFound where there is none.
func one[T any](ctx context.Context, n *Notifier, query string, args []any, scan func(dbtx.Row) (T, error)) (T, error) {
	v, err := sqltable.One(ctx, &n.db, query, args, scan)
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
