package callback

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

const (
	pruneEvery = time.Minute
	pruneBatch = 200
)

// pruneLoop removes calls whose retention is over until ctx ends.
func (c *Caller) pruneLoop(ctx context.Context) {
	if c.cfg.Retain < 0 {
		return
	}
	for backoff.Wait(ctx, backoff.Half(2*pruneEvery)) == nil {
		_, err := janitor.Drain(ctx, pruneBatch, c.prune)
		if err != nil && ctx.Err() == nil && !c.table.Dialect.IsContention(err) {
			c.cfg.Logger.Warn("old calls could not be removed", "service", c.cfg.Service, "error", err)
		}
	}
}

// prune removes up to limit calls that ended before the retention, with their
// histories, and returns how many.
func (c *Caller) prune(ctx context.Context, limit int) (int64, error) {
	t := c.table
	type old struct {
		id     int64
		number string
	}
	list, err := sqltable.Collect(ctx, &t.Tables, t.DB, "SELECT id, number FROM {calls}"+t.force("ended")+
		" WHERE service = ? AND ended_at > 0 AND ended_at <= {now} - {number} ORDER BY ended_at, id LIMIT ?",
		[]any{t.service, c.cfg.Retain.Microseconds(), limit}, func(row dbtx.Row) (o old, err error) {
			err = row.Scan(&o.id, &o.number)
			return o, err
		})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	slices.SortFunc(list, func(a, b old) int { return cmp.Compare(a.id, b.id) }) // one order of locks for everybody
	numbers, ids := []any{t.service}, make([]any, 0, len(list))
	for _, o := range list {
		numbers, ids = append(numbers, o.number), append(ids, o.id)
	}
	var removed int64
	err = t.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) (err error) {
		if removed, err = t.Exec(ctx, tx, "DELETE FROM {calls} WHERE id IN ("+sqldialect.List(len(ids))+")", ids...); err != nil {
			return err
		}
		_, err = t.Exec(ctx, tx, "DELETE FROM {events} WHERE service = ? AND number IN ("+sqldialect.List(len(list))+")", numbers...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove old calls: %w", err)
	}
	return removed, nil
}
