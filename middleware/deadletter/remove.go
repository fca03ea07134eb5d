package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DeleteRequest asks to remove letters for good.
type DeleteRequest struct {
	Selection Selection
	// By and Note are as in RedriveRequest.
	By, Note string
	// Confirm is that of a Plan for this Selection, and required.
	Confirm string
	// Progress is told after every batch, on this goroutine. Default: nobody.
	Progress func(Result)
}

// PlanDelete is Plan for Delete: it also takes letters that were redriven.
func (d *Desk) PlanDelete(ctx context.Context, sel Selection) (Plan, error) {
	return d.plan(ctx, sel, false)
}

// Delete removes the selected letters, of any status, in small batches. It ends
// with ctx or with Cancel like Redrive. The records in the inbox stay: a
// duplicate of a message that is removed here does not run.
func (d *Desk) Delete(ctx context.Context, req DeleteRequest) (Result, error) {
	errs := actor(req.By, req.Note)
	if req.Confirm == "" {
		errs = append(errs, fmt.Errorf("%w: Confirm: is empty; plan it, look at it, and give the plan's", ErrConfirm))
	}
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("delete dead letters: %w", err)
	}
	c, err := d.choose(ctx, req.Selection, req.Confirm, false)
	if err != nil {
		return Result{}, fmt.Errorf("delete dead letters: %w", err)
	}
	a, err := d.begin(ctx, Action{Kind: KindDelete, By: req.By, Note: req.Note, Selection: c.text, Total: c.count})
	if err != nil {
		return Result{}, fmt.Errorf("delete dead letters: %w", err)
	}
	r := Result{Action: a}
	err = d.each(ctx, c, d.cfg.Batch, func(ids []int64) error {
		query, args := d.store.byID("DELETE FROM "+d.store.table, ids)
		if c.ids == nil && c.filter.Status != AnyStatus {
			// One that was redriven a moment ago was not meant.
			query, args = query+" AND status = ?", append(args, string(c.filter.Status))
		}
		res, err := d.store.db.ExecContext(ctx, d.store.dialect.Bind(query), args...)
		if err != nil {
			return fmt.Errorf("delete letters: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("delete letters: %w", err)
		}
		r.Done += n
		r.Skipped += int64(len(ids)) - n
		if req.Progress != nil {
			req.Progress(r)
		}
		return d.report(ctx, r.Action)
	})
	r.Action, err = d.finish(ctx, r.Action, err)
	if err != nil {
		return r, fmt.Errorf("delete dead letters: %w", err)
	}
	return r, nil
}

// PruneRequest of Prune.
type PruneRequest struct {
	// Status is Dead, Redriven or AnyStatus. Required.
	Status Status
	// OlderThan is the least age, by the database's clock, of a letter that is
	// removed. Required, more than 0.
	OlderThan time.Duration
	// Batch is how many one statement removes, within 1 and 1000. Default 500.
	Batch int
}

// defaultPrune is PruneRequest.Batch.
const defaultPrune = 500

// Prune removes one batch of old letters, the oldest first, and returns how many
// it removed: fewer than the batch where no more are old enough. No statement
// holds locks on more rows than a batch. Who calls it again until then removes
// them all; any number of processes may.
func (s *SQLStore) Prune(ctx context.Context, req PruneRequest) (int64, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: PruneRequest."+format, append([]any{ErrInvalid}, args...)...))
	}
	var statuses []any
	switch req.Status {
	case Dead, Redriven:
		statuses = []any{string(req.Status)}
	case AnyStatus:
		statuses = []any{string(Dead), string(Redriven)}
	default:
		bad("Status: %q is none of %q, %q, %q", req.Status, Dead, Redriven, AnyStatus)
	}
	if req.OlderThan <= 0 {
		bad("OlderThan: %v: use a duration of more than 0", req.OlderThan)
	}
	if req.Batch < 0 || req.Batch > MaxLimit {
		bad("Batch: %d is not within 1 and %d", req.Batch, MaxLimit)
	}
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("prune dead letters: %w", err)
	}
	if req.Batch == 0 {
		req.Batch = defaultPrune
	}
	removed := int64(0)
	for _, status := range statuses {
		// First which, then those: a DELETE with a condition on a range would
		// lock the range.
		found, err := s.queryInts(ctx, 1, fmt.Sprintf("SELECT id FROM %s WHERE status = ? AND dead_at < %s - ? ORDER BY dead_at LIMIT %d",
			s.table, s.dialect.Now(), req.Batch-int(removed)), status, req.OlderThan.Microseconds())
		if err != nil {
			return removed, fmt.Errorf("prune dead letters: %w", err)
		}
		if len(found) == 0 {
			continue
		}
		ids := make([]int64, len(found))
		for i, row := range found {
			ids[i] = row[0]
		}
		query, args := s.byID("DELETE FROM "+s.table, ids)
		res, err := s.db.ExecContext(ctx, s.dialect.Bind(query+" AND status = ?"), append(args, status)...)
		if err != nil {
			return removed, fmt.Errorf("prune dead letters: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return removed, fmt.Errorf("prune dead letters: %w", err)
		}
		if removed += n; removed >= int64(req.Batch) {
			break
		}
	}
	return removed, nil
}
