package forwarder

import (
	"context"
	"fmt"
	"time"

	delay "github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const (
	pruneBatch = 1000
	pruneEvery = time.Minute
)

// pruneLoop removes delivered messages from the history once they are older
// than Retain. The relay that owns shard 0 does it, in small batches.
func (r *Relay) pruneLoop(ctx context.Context) {
	every := min(max(r.cfg.Retain/10, 10*time.Millisecond), pruneEvery)
	for wait(ctx, delay.Half(every), nil) {
		if !r.group.Owns(0) {
			continue
		}
		for ctx.Err() == nil {
			n, err := r.prune(ctx)
			if err != nil {
				if ctx.Err() == nil && !r.outbox.cfg.Dialect.IsContention(err) {
					r.outbox.cfg.Logger.Warn("outbox relay could not prune its history", "error", err)
				}
				break
			}
			if n < pruneBatch {
				break
			}
		}
	}
}

func (r *Relay) prune(ctx context.Context) (int64, error) {
	d := r.outbox.cfg.Dialect
	table := r.outbox.names.Table(d, schema.OutboxHistory)
	old := "status = '" + statusDelivered + "' AND settled_at < " + d.Now() + " - ?"
	query := fmt.Sprintf("DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE %s ORDER BY settled_at LIMIT %d)", table, table, old, pruneBatch)
	if d == sqldialect.MySQL { // knows no LIMIT in a subquery, but in a DELETE
		query = fmt.Sprintf("DELETE FROM %s WHERE %s ORDER BY settled_at LIMIT %d", table, old, pruneBatch)
	}
	ctx, cancel := linger(ctx, r.cfg.StopTimeout)
	defer cancel()
	res, err := r.outbox.db.ExecContext(r.unbroken(ctx), d.Bind(query), r.cfg.Retain.Microseconds())
	if err != nil {
		return 0, fmt.Errorf("prune history: %w", err)
	}
	return res.RowsAffected()
}
