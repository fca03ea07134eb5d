package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Add is AddTx in a transaction of its own.
func (s *Schedule) Add(ctx context.Context, spec Spec) (added bool, err error) {
	if spec, err = spec.normalize(); err != nil {
		return false, err
	}
	if spec.Group == "" {
		err = sqltable.Again(ctx, func() (err error) {
			added, err = s.insert(ctx, s.t.DB, spec, alone)
			return err
		})
	} else {
		err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
			added, err = s.addToGroup(ctx, tx, spec)
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("add task: %w", err)
	}
	return added, nil
}

// AddTx adds a task within the caller's transaction: it is there when that
// commits. It answers false where an unfinished task with this queue, target and key
// is there, and changes nothing then. A concurrent transaction that adds the same
// key, or adds to or finishes the head of the same group, is waited for. An error
// that wraps ErrContended wants a new transaction. With a Group, MySQL's transaction should
// be READ COMMITTED: its default takes gap locks, over which transactions that add to any
// two groups meet in deadlocks.
func (s *Schedule) AddTx(ctx context.Context, tx dbtx.Executor, spec Spec) (added bool, err error) {
	if spec, err = spec.normalize(); err != nil {
		return false, err
	}
	if spec.Group == "" {
		added, err = s.insert(ctx, tx, spec, alone)
	} else {
		added, err = s.addToGroup(ctx, tx, spec)
	}
	if err != nil {
		return false, fmt.Errorf("add task: %w", err)
	}
	return added, nil
}

// addToGroup touches the head of the group, which keeps it from being finished
// unnoticed before this transaction ends, and adds the task behind it; or as
// the head where there is none.
func (s *Schedule) addToGroup(ctx context.Context, tx dbtx.Executor, spec Spec) (bool, error) {
	group := hash(spec.Queue, spec.Target, spec.Group)
	for range tries {
		n, err := s.t.Exec(ctx, tx, s.q.touchHead, group)
		if err != nil {
			return false, err
		}
		if n > 0 {
			return s.insert(ctx, tx, spec, behind)
		}
		if added, err := s.insert(ctx, tx, spec, head); added || err != nil {
			return added, err
		}
		// Either the key is there, or a head has come since.
		n, err = s.t.Exec(ctx, tx, s.q.touchKey, hash(spec.Queue, spec.Target, spec.Key))
		if n > 0 || err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("%w: the group's head changed %d times in a row", ErrContended, tries)
}

// place is where in its group a task is inserted.
type place int

const (
	alone place = iota // of no group
	head
	behind
)

// insert reports whether the task is new.
func (s *Schedule) insert(ctx context.Context, x dbtx.Executor, spec Spec, at place) (bool, error) {
	held := at == behind && spec.Hold
	status := Waiting
	if held {
		status = Held
	}
	relative, when := spec.when()
	args := []any{
		spec.Queue, spec.Target, spec.Key, spec.Group, string(status), sqltable.Blob(spec.Payload), sqltable.Blob(spec.State), spec.Error, spec.Attempts, when,
	}
	if !held {
		args = append(args, when)
	}
	var group, first []byte
	if at != alone {
		group = hash(spec.Queue, spec.Target, spec.Group)
	}
	if at == head {
		first = group
	}
	args = append(args, hash(spec.Queue, spec.Target, spec.Key), sqltable.Blob(group), sqltable.Blob(first))
	query := fmt.Sprintf(s.q.insert, due(s.t.Dialect, relative, false), due(s.t.Dialect, relative, held))
	n, err := s.t.Exec(ctx, x, query, args...)
	if s.t.Dialect == sqldialect.MySQL && s.t.Dialect.IsDuplicate(err) {
		return false, nil // INSERT IGNORE would hide other errors too
	}
	return n == 1, err
}

// Pending reports whether anything unfinished is in the group; a nil tx asks
// outside of any transaction. The answer holds only as long as nobody else adds
// or finishes: a task that is to wait is added with Hold, which cannot miss
// the end of those before it.
func (s *Schedule) Pending(ctx context.Context, tx dbtx.Tx, queue, target, group string) (bool, error) {
	if err := errors.Join(names("Pending", queue, target)...); err != nil {
		return false, err
	}
	query, key := s.t.At(s.q.pending), hash(queue, target, plain(group))
	var row dbtx.Row
	if tx != nil {
		row = tx.QueryRow(ctx, query, key)
	} else {
		row = s.t.DB.QueryRowContext(ctx, query, key)
	}
	var one int
	err := row.Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for tasks of group: %w", s.t.Mark(ctx, err))
	}
	return true, nil
}
