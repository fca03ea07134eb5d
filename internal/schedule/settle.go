package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Settle ends the claim of t as o says: the task is finished, or waits for its
// next due time. ErrStale where the claim is over; nothing has changed then. An
// error of the connection leaves open whether it was settled: Settle may be
// repeated, and answers ErrStale where it was.
func (s *Schedule) Settle(ctx context.Context, t Task, o Outcome) error {
	o, err := o.normalize()
	if err != nil {
		return err
	}
	return s.settled(ctx, t, o)
}

// SettleTx is Settle within the caller's transaction. Where the task is of a
// group, the next of it becomes due with the same commit. An error that wraps
// ErrContended wants a new transaction.
func (s *Schedule) SettleTx(ctx context.Context, tx dbtx.Executor, t Task, o Outcome) error {
	o, err := o.normalize()
	if err != nil {
		return err
	}
	if o.Then != nil {
		return invalid("Outcome.Then: the caller of SettleTx has the transaction already")
	}
	if err := s.settle(ctx, tx, t, o); err != nil {
		return fmt.Errorf("settle task %d: %w", t.ID, err)
	}
	return nil
}

func (s *Schedule) settled(ctx context.Context, t Task, o Outcome) (err error) {
	if o.Then != nil || o.Status.Finished() && t.Group != "" {
		err = s.inTx(ctx, func(tx *sql.Tx) error { return s.settleThen(ctx, tx, t, o) })
	} else {
		err = sqltable.Again(ctx, func() error { return s.settle(ctx, s.t.DB, t, o) })
	}
	if err != nil {
		return fmt.Errorf("settle task %d: %w", t.ID, err)
	}
	return nil
}

// settleThen settles, and then lets the outcome write: whoever is stale writes nothing.
func (s *Schedule) settleThen(ctx context.Context, tx *sql.Tx, t Task, o Outcome) error {
	if err := s.settle(ctx, tx, t, o); err != nil || o.Then == nil {
		return err
	}
	if err := then(ctx, tx, o); err != nil {
		return &ThenError{s.t.Mark(ctx, err)}
	}
	return nil
}

// then calls Outcome.Then; a panic of it is an error, as one of a Handler is.
func then(ctx context.Context, tx *sql.Tx, o Outcome) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{value: p, stack: debug.Stack()}
		}
	}()
	return o.Then(ctx, tx)
}

func (s *Schedule) settle(ctx context.Context, x dbtx.Executor, t Task, o Outcome) error {
	if o.Status == Waiting {
		delay := o.Delay.Microseconds()
		return s.one(ctx, x, s.q.again, delay, delay, o.Attempts, sqltable.Blob(o.State), o.Error, t.ID, t.Fence)
	}
	args := []any{string(o.Status), o.Attempts, sqltable.Blob(o.State), o.Error, t.ID, t.Fence}
	if t.Group == "" {
		return s.one(ctx, x, s.q.finish, args...)
	}
	// A task that is not the head may become it between two statements; the head
	// remains it until it is finished.
	for _, query := range []string{s.q.finishHead, s.q.finish, s.q.finishHead} {
		err := s.one(ctx, x, query, args...)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil || query == s.q.finish {
			return err
		}
		_, err = s.t.Exec(ctx, x, s.q.promote, hash(t.Queue, t.Target, t.Group))
		return err
	}
	return ErrStale
}

// one runs a statement that is to change one row.
func (s *Schedule) one(ctx context.Context, x dbtx.Executor, query string, args ...any) error {
	n, err := s.t.Exec(ctx, x, query, args...)
	if err == nil && n == 0 {
		return ErrStale
	}
	return err
}

// Extend lets the lease of t end so long from now. A claim whose lease has run
// out is still the caller's where nobody has claimed the task since; else ErrStale.
func (s *Schedule) Extend(ctx context.Context, t Task, lease time.Duration) error {
	if lease < time.Millisecond || lease > maxDelay {
		return invalid("lease: %v, use at least 1 ms", lease)
	}
	err := sqltable.Again(ctx, func() error { return s.one(ctx, s.t.DB, s.q.extend, lease.Microseconds(), t.ID, t.Fence) })
	if err != nil {
		return fmt.Errorf("extend lease of task %d: %w", t.ID, err)
	}
	return nil
}

// Release gives a claimed task back as it was before the claim, in its old place.
// ErrStale where the claim is over.
func (s *Schedule) Release(ctx context.Context, t Task) error {
	err := sqltable.Again(ctx, func() error { return s.one(ctx, s.t.DB, s.q.release, t.ID, t.Fence) })
	if err != nil {
		return fmt.Errorf("release task %d: %w", t.ID, err)
	}
	return nil
}
