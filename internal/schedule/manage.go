package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Get returns a task. ErrNotFound where there is none.
func (s *Schedule) Get(ctx context.Context, id int64) (Task, error) {
	return s.read(ctx, s.q.get, id)
}

// Find returns the unfinished task with this key. ErrNotFound where there is none.
func (s *Schedule) Find(ctx context.Context, queue, target, key string) (Task, error) {
	return s.read(ctx, s.q.find, hash(queue, target, plain(key)))
}

func (s *Schedule) read(ctx context.Context, query string, arg any) (Task, error) {
	t, err := scanTask(s.t.DB.QueryRowContext(ctx, s.t.At(query), arg))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Task{}, ErrNotFound
	case err != nil:
		return Task{}, fmt.Errorf("read task: %w", s.t.Mark(ctx, err))
	}
	return t, nil
}

// Cancel finishes a task that is not finished yet as Cancelled, with its group's
// next becoming due. A handler at work on it is not waited for; its worker learns of it
// when it renews the lease or settles. ErrNotFound, ErrFinished.
func (s *Schedule) Cancel(ctx context.Context, id int64) error {
	return s.change(ctx, id, func(t Task) error {
		err := s.settled(ctx, t, Outcome{Status: Cancelled, Attempts: t.Attempts, Error: t.Error})
		return err
	})
}

// RunNow makes a waiting task due at once. Its attempts stay as they are.
// ErrNotFound, ErrFinished, ErrHeld, ErrLeased.
func (s *Schedule) RunNow(ctx context.Context, id int64) error {
	return s.change(ctx, id, func(t Task) error {
		switch {
		case t.Status == Held:
			return ErrHeld
		case t.Leased:
			return ErrLeased
		}
		return sqltable.Again(ctx, func() error { return s.one(ctx, s.t.DB, s.q.runNow, t.ID, t.Fence) })
	})
}

// tries bounds how often a row that has moved on meanwhile is looked at again.
const tries = 5

// change runs fn on an unfinished task, again where it has moved on meanwhile.
func (s *Schedule) change(ctx context.Context, id int64, fn func(Task) error) error {
	for range tries {
		t, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		if t.Status.Finished() {
			return ErrFinished
		}
		if err := fn(t); err == nil || !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("%w: task %d changed %d times in a row", ErrContended, id, tries)
}

// Filter says which tasks List returns.
type Filter struct {
	// Queue is required.
	Queue string
	// Status of the tasks. Empty: any.
	Status Status
	// Target, Key and Group of the tasks. Empty: any.
	Target, Key, Group string
	// After is the last task of the page before. Zero: the first page.
	After Task
	// Limit is how many to return at most, up to 1000. Default: 100.
	Limit int
}

// List returns tasks, the newest first: by the time at which they were finished where
// Status is a final one, else by that at which they were added.
func (s *Schedule) List(ctx context.Context, f Filter) ([]Task, error) {
	errs := names("Filter", f.Queue, f.Target)
	if f.Status != "" && !f.Status.Valid() {
		errs = append(errs, invalid("Filter.Status: %q is none", string(f.Status)))
	}
	if f.Limit < 0 || f.Limit > maxLimit {
		errs = append(errs, invalid("Filter.Limit: %d, use up to %d", f.Limit, maxLimit))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	query, args := s.filtered(f)
	tasks, err := sqltable.Collect(ctx, &s.t, s.t.DB, query, args, scanTask)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", s.t.Mark(ctx, err))
	}
	return tasks, nil
}

func (s *Schedule) filtered(f Filter) (query string, args []any) {
	query = "SELECT " + columns + ", {now} FROM " + s.q.table + " WHERE queue = ?"
	args = []any{f.Queue}
	and := func(condition string, values ...any) {
		query += " AND " + condition
		args = append(args, values...)
	}
	if f.Status != "" {
		and("status = ?", string(f.Status))
	}
	if f.Target != "" {
		and("target = ?", f.Target)
	}
	if f.Key != "" {
		and("task_key = ?", plain(f.Key))
	}
	if f.Group != "" {
		and("task_group = ?", plain(f.Group))
	}
	order := "id DESC"
	if f.Status.Finished() {
		order = "finished_at DESC, id DESC"
		if f.After.ID > 0 {
			at := sqltable.Micros(f.After.FinishedAt)
			and("finished_at <= ? AND (finished_at < ? OR id < ?)", at, at, f.After.ID)
		}
	} else {
		if f.Status != "" {
			and("finished_at = 0") // lets the index give the order
		}
		if f.After.ID > 0 {
			and("id < ?", f.After.ID)
		}
	}
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	return query + " ORDER BY " + order + " LIMIT ?", append(args, limit)
}

// Counts tell how much a queue holds.
type Counts struct {
	Of  map[Status]int64
	Due int64 // that could be claimed now
	// Oldest is when the first of those became due; zero where there is none.
	Oldest time.Time
}

// Counts counts the tasks of a queue.
func (s *Schedule) Counts(ctx context.Context, queue string) (Counts, error) {
	type count struct {
		status Status
		n      int64
	}
	c := Counts{Of: map[Status]int64{}}
	list, err := sqltable.Collect(ctx, &s.t, s.t.DB, "SELECT status, COUNT(*) FROM "+s.q.table+" WHERE queue = ? GROUP BY status", []any{queue},
		func(row dbtx.Row) (c count, err error) {
			err = row.Scan(&c.status, &c.n)
			return c, err
		})
	if err != nil {
		return Counts{}, fmt.Errorf("count tasks: %w", s.t.Mark(ctx, err))
	}
	for _, l := range list {
		c.Of[l.status] = l.n
	}
	var oldest sql.NullInt64
	query := s.t.At("SELECT COUNT(*), MIN(claim_at) FROM " + s.q.table + " WHERE queue = ? AND claim_at <= {now}")
	if err := s.t.DB.QueryRowContext(ctx, query, queue).Scan(&c.Due, &oldest); err != nil {
		return Counts{}, fmt.Errorf("count due tasks: %w", s.t.Mark(ctx, err))
	}
	c.Oldest = sqltable.Time(oldest.Int64)
	return c, nil
}

// until returns how long from now the next task of the queue is due, or of its
// targets where some are given; false where there is none. It leaves out what was
// due for longer than since, the time since the caller looked for due tasks.
func (s *Schedule) until(ctx context.Context, queue string, targets []string, since time.Duration) (time.Duration, bool, error) {
	ago := since.Microseconds()
	query, args := s.q.next, []any{queue, ago}
	if len(targets) > 0 && len(targets) <= branches {
		args = args[:0]
		for _, t := range targets {
			args = append(args, queue, t, ago)
		}
		query = union(func(int) string { return s.q.nextOfTarget }, len(targets))
	}
	var left sql.NullInt64
	err := s.t.DB.QueryRowContext(ctx, s.t.At("SELECT MIN(u.first) - {now} FROM ("+query+") AS u"), args...).Scan(&left)
	if err != nil {
		return 0, false, fmt.Errorf("look for the next task: %w", s.t.Mark(ctx, err))
	}
	return time.Duration(left.Int64) * time.Microsecond, left.Valid, nil
}
