package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// ReplaceTx has the waiting task with spec's queue, target and key begin again
// within the caller's transaction, if may says so of what it is now: payload,
// state, attempts, error and due time are spec's, and what the task was is
// forgotten. It keeps its group and its place in it, whatever spec says of them. It
// answers false, and changes nothing, where there is no such task, where it is held or
// a worker has it, or where may refuses. An error that wraps ErrContended wants a
// new transaction.
func (s *Schedule) ReplaceTx(ctx context.Context, tx dbtx.Tx, spec Spec, may func(Task) bool) (bool, error) {
	spec, err := spec.normalize()
	if err != nil {
		return false, err
	}
	t, err := scanTask(tx.QueryRow(ctx, s.t.At(s.q.find), hash(spec.Queue, spec.Target, spec.Key)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read task: %w", s.t.Mark(ctx, err))
	case t.Status != Waiting || t.Leased || !may(t):
		return false, nil
	}
	relative, when := spec.when()
	at := due(s.t.Dialect, relative, false)
	n, err := s.t.Exec(ctx, tx, fmt.Sprintf(s.q.replace, at, at),
		sqltable.Blob(spec.Payload), sqltable.Blob(spec.State), spec.Error, spec.Attempts, when, when, t.ID, t.Fence)
	switch {
	case err != nil:
		return false, fmt.Errorf("replace task %d: %w", t.ID, err)
	case n == 0:
		return false, fmt.Errorf("%w: task %d changed meanwhile", ErrContended, t.ID)
	}
	return true, nil
}
