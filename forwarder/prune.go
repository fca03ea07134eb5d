package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	delay "github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
)

const (
	pruneBatch = 1000
	pruneEvery = time.Minute
)

// pruneLoop removes messages from the history once they are older than their
// retention. The relay that owns shard 0 does it, in small batches.
func (r *Relay) pruneLoop(ctx context.Context) {
	every := min(max(min(r.cfg.Retain, r.cfg.RetainFailed)/10, 10*time.Millisecond), pruneEvery)
	for wait(ctx, delay.Half(every), nil) {
		if !r.group.Owns(0) {
			continue
		}
		for _, p := range []*prune{
			{relay: r, status: statusDelivered, retain: r.cfg.Retain},
			{relay: r, status: statusExpired, retain: r.cfg.Retain},
			{relay: r, status: statusFailed, retain: r.cfg.RetainFailed},
		} {
			if _, err := janitor.Drain(ctx, pruneBatch, p.batch); err != nil && ctx.Err() == nil && !r.outbox.cfg.Dialect.IsContention(err) {
				r.outbox.cfg.Logger.Warn("outbox relay could not prune its history", "error", err)
			}
		}
		r.pruneTasks(ctx)
	}
}

// movedKeep is how long tasks are kept whose message has entered the outbox,
// which, or whose history, has it then.
const movedKeep = time.Minute

func (r *Relay) pruneTasks(ctx context.Context) {
	for _, request := range []schedule.PruneRequest{
		{Statuses: []schedule.Status{schedule.Done}, OlderThan: min(movedKeep, r.cfg.Retain)},
		{Statuses: []schedule.Status{schedule.Dead, schedule.Cancelled}, OlderThan: r.cfg.RetainFailed},
	} {
		request.Queue = publishQueue
		_, err := janitor.Drain(ctx, pruneBatch, func(ctx context.Context, limit int) (int64, error) {
			ctx, cancel := linger(ctx, r.cfg.StopTimeout)
			defer cancel()
			request.Batch = limit
			return r.outbox.tasks.Prune(r.unbroken(ctx), request)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, schedule.ErrContended) {
			r.outbox.cfg.Logger.Warn("outbox relay could not prune the messages that have entered", "error", err)
		}
	}
}

// prune is one round over what has one status. It remembers up to when it has removed, so
// that it does not walk over the index entries of rows long gone: as long as any
// transaction can still see those, the database keeps them.
type prune struct {
	relay  *Relay
	status string
	retain time.Duration
	floor  int64 // nothing older is left
}

// batch removes the oldest rows: those up to the time of the limit-th one, so a
// few more where several have that time.
func (p *prune) batch(ctx context.Context, limit int) (int64, error) {
	r := p.relay
	ctx, cancel := linger(ctx, r.cfg.StopTimeout)
	defer cancel()
	ctx = r.unbroken(ctx)
	d := r.outbox.cfg.Dialect
	table := r.outbox.names.Table(d, schema.OutboxHistory)
	old := " FROM " + table + " WHERE " + p.where() + " AND settled_at >= ?"
	var cutoff, upTo int64
	if err := r.outbox.db.QueryRowContext(ctx, "SELECT "+d.Now()).Scan(&cutoff); err != nil {
		return 0, fmt.Errorf("read the clock to prune history: %w", err)
	}
	cutoff -= p.retain.Microseconds()
	more := true
	err := r.outbox.db.QueryRowContext(ctx, d.Bind(fmt.Sprintf("SELECT settled_at%s AND settled_at < ? ORDER BY settled_at LIMIT 1 OFFSET %d", old, limit-1)),
		p.floor, cutoff).Scan(&upTo)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		more, upTo = false, cutoff-1
	case err != nil:
		return 0, fmt.Errorf("look for history to prune: %w", err)
	}
	res, err := r.outbox.db.ExecContext(ctx, d.Bind("DELETE"+old+" AND settled_at <= ?"), p.floor, upTo)
	if err != nil {
		return 0, fmt.Errorf("prune history: %w", err)
	}
	n, err := res.RowsAffected()
	p.floor = upTo
	if more {
		n = max(n, int64(limit)) // another relay may have been at it too
	}
	return n, err
}

// where is in the words of the partial indexes of PostgreSQL and SQLite: one for what
// was delivered, one for the rest. SQLite does not conclude the second from the status.
func (p *prune) where() string {
	is := "status = '" + p.status + "'"
	if p.status == statusDelivered {
		return is
	}
	return is + " AND status <> '" + statusDelivered + "'"
}
