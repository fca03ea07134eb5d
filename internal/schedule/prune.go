package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// PruneRequest says which finished tasks may go.
type PruneRequest struct {
	// Queue is required.
	Queue string
	// Statuses of the tasks. Default: Done, Cancelled and Expired.
	Statuses []Status
	// OlderThan is how long ago they were finished, at least.
	OlderThan time.Duration
	// Batch is how many to remove at most, up to 10,000. Default: 500.
	Batch int
}

const (
	pruneBatch    = 500
	maxPruneBatch = 10_000
)

// Prune removes one batch of finished tasks, the longest finished first, and
// returns how many it removed: fewer than Batch where no more are left, or where
// another process removed them. It holds their locks for one short statement a
// status.
func (s *Schedule) Prune(ctx context.Context, r PruneRequest) (int64, error) {
	errs := names("PruneRequest", r.Queue, "")
	if len(r.Statuses) == 0 {
		r.Statuses = []Status{Done, Cancelled, Expired}
	}
	for _, status := range r.Statuses {
		if !status.Finished() {
			errs = append(errs, invalid("PruneRequest.Statuses: %q is not final", string(status)))
		}
	}
	if r.OlderThan < 0 || r.OlderThan > maxDelay {
		errs = append(errs, invalid("PruneRequest.OlderThan: %v, use 0 to 100 years", r.OlderThan))
	}
	if r.Batch == 0 {
		r.Batch = pruneBatch
	}
	if r.Batch < 0 || r.Batch > maxPruneBatch {
		errs = append(errs, invalid("PruneRequest.Batch: %d, use 1 to %d", r.Batch, maxPruneBatch))
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	var removed int64
	for _, status := range r.Statuses {
		left := int64(r.Batch) - removed
		if left <= 0 {
			break
		}
		err := sqltable.Again(ctx, func() error {
			n, err := s.pruneSome(ctx, status, r, left)
			removed += n
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("prune tasks: %w", err)
		}
	}
	return removed, nil
}

func (s *Schedule) pruneSome(ctx context.Context, status Status, r PruneRequest, limit int64) (int64, error) {
	// The limit is part of the text, because without it a plan for any arguments
	// could scan the table.
	query := fmt.Sprintf(s.q.prune, limit)
	args := []any{r.Queue, string(status), r.OlderThan.Microseconds()}
	if s.t.Dialect != sqldialect.MySQL {
		return s.t.Exec(ctx, s.t.DB, query, args...)
	}
	ids, err := sqltable.Collect(ctx, &s.t, s.t.DB, query, args, func(row dbtx.Row) (id int64, err error) {
		err = row.Scan(&id)
		return id, err
	})
	if err != nil || len(ids) == 0 {
		return 0, s.t.Mark(ctx, err)
	}
	slices.Sort(ids)
	return s.t.Exec(ctx, s.t.DB, "DELETE FROM "+s.q.table+" WHERE id IN ("+sqldialect.List(len(ids))+")", anys(ids)...)
}

func pruneQuery(d sqldialect.Dialect, table string, index func(string) string) string {
	old := "SELECT id FROM " + table + index("status") + " WHERE queue = ? AND status = ? AND finished_at <= {now} - " + number(d) +
		" ORDER BY finished_at, id LIMIT %d"
	switch d {
	case sqldialect.PostgreSQL:
		return "DELETE FROM " + table + " WHERE id IN (" + old + " FOR UPDATE SKIP LOCKED)"
	case sqldialect.MySQL:
		// Its DELETE takes no hint, and would rather sort the table. What is finished
		// stays finished, so that it can be deleted by its number.
		return old
	default:
		return "DELETE FROM " + table + " WHERE id IN (" + old + ")"
	}
}
