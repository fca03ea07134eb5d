package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
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
// returns how many it removed: fewer than Batch where no more are left. It holds
// their locks for one short statement a status. Several processes may prune at once.
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
		err := again(ctx, func() error {
			n, err := s.exec(ctx, s.db, s.q.prune, r.Queue, string(status), r.OlderThan.Microseconds(), left)
			removed += n
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("prune tasks: %w", err)
		}
	}
	return removed, nil
}

func pruneQuery(d sqldialect.Dialect, table string) string {
	old := " WHERE queue = ? AND status = ? AND finished_at <= {now} - " + number(d) + " ORDER BY finished_at, id LIMIT ?"
	switch d {
	case sqldialect.PostgreSQL:
		return "DELETE FROM " + table + " WHERE id IN (SELECT id FROM " + table + old + " FOR UPDATE SKIP LOCKED)"
	case sqldialect.MySQL: // knows no LIMIT in a subquery, but in a DELETE
		return "DELETE FROM " + table + old
	default:
		return "DELETE FROM " + table + " WHERE id IN (SELECT id FROM " + table + old + ")"
	}
}
