package notify

import (
	"context"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const (
	houseEvery   = 5 * time.Minute
	houseBatch   = 200
	releaseBatch = 100
)

// keepHouse removes what is older than its retention, and releases what was held just while its
// target was enabled.
func (n *Notifier) keepHouse(ctx context.Context) {
	for backoff.Wait(ctx, backoff.Half(2*houseEvery)) == nil {
		if err := n.releaseAll(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("held notifications could not be released", "error", err)
		}
		for _, r := range []struct {
			status Status
			keep   time.Duration
		}{{Delivered, n.cfg.Retain}, {Confirmed, n.cfg.Retain}, {Stopped, n.cfg.RetainStopped}} {
			if r.keep < 0 {
				continue
			}
			_, err := janitor.Drain(ctx, houseBatch, func(ctx context.Context, limit int) (int64, error) {
				return n.prune(ctx, r.status, r.keep, limit)
			})
			if err != nil && ctx.Err() == nil {
				n.cfg.Logger.Warn("old notifications could not be removed", "error", err)
			}
		}
	}
}

type held struct {
	uid      string
	round    int64
	attempts int
}

func scanHeld(row dbtx.Row) (h held, err error) {
	err = row.Scan(&h.uid, &h.round, &h.attempts)
	return h, err
}

// prune removes a batch of finished notifications with their attempts, in one short transaction.
func (n *Notifier) prune(ctx context.Context, status Status, keep time.Duration, limit int) (int64, error) {
	old, err := collect(ctx, n, "SELECT uid, round, attempts FROM {message} WHERE status = ? AND finished_at > 0 AND finished_at <= {now} - {number} "+
		"ORDER BY finished_at LIMIT ?", []any{string(status), keep.Microseconds(), limit}, scanHeld)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	uids := make([]string, len(old))
	for i, h := range old {
		uids[i] = h.uid
	}
	in := " WHERE uid IN (" + sqldialect.List(len(uids)) + ")"
	var removed int64
	err = n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) (err error) {
		// One that was sent again meanwhile stays, and loses its old attempts at worst.
		if removed, err = n.db.Exec(ctx, tx, "DELETE FROM {message}"+in+" AND status = ?", append(anys(uids), string(status))...); err != nil {
			return err
		}
		_, err = n.db.Exec(ctx, tx, "DELETE FROM {attempt}"+in, anys(uids)...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return max(removed, int64(len(old))), nil
}

// releaseAll releases what is held of targets that are enabled.
func (n *Notifier) releaseAll(ctx context.Context) error {
	names, err := collect(ctx, n, "SELECT t.name FROM {target} t WHERE t.status = 'enabled' AND EXISTS "+
		"(SELECT 1 FROM {message} m WHERE m.target = t.name AND m.status = 'held')", nil, func(row dbtx.Row) (s string, err error) {
		err = row.Scan(&s)
		return s, err
	})
	if err != nil {
		return err
	}
	for _, target := range names {
		if err := n.release(ctx, target); err != nil {
			return err
		}
	}
	return nil
}

// release has what is held of an enabled target go on, page by page.
func (n *Notifier) release(ctx context.Context, target string) error {
	defer n.Wake()
	const query = "SELECT m.uid, m.round, m.attempts FROM {message} m JOIN {target} t ON t.name = m.target " +
		"WHERE m.target = ? AND m.status = 'held' AND t.status = 'enabled' ORDER BY m.created_at, m.id LIMIT ?"
	for {
		page, err := collect(ctx, n, query, []any{target, releaseBatch}, scanHeld)
		if err != nil || len(page) == 0 {
			return err
		}
		err = n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			for _, h := range page {
				rows, err := n.db.Exec(ctx, tx, "UPDATE {message} SET status = 'waiting', round = round + 1, next_at = {now}, updated_at = {now} "+
					"WHERE uid = ? AND round = ? AND status = 'held'", h.uid, h.round)
				if err != nil {
					return err
				}
				if rows == 0 {
					continue // sent again, or released by another
				}
				if err := n.addTask(ctx, tx, target, h.uid, h.round+1, h.attempts); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
