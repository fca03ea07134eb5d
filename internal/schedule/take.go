package schedule

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// take claims those of the candidates that are still due and that nobody else is
// about to claim, in one statement or one short transaction.
func (s *Schedule) take(ctx context.Context, lease time.Duration, chunk []candidate) (tasks []Task, err error) {
	position := make(map[int64]int, len(chunk))
	ids := make([]int64, len(chunk))
	for i, c := range chunk {
		position[c.id], ids[i] = i, c.id
	}
	slices.Sort(ids) // one order of locks for everybody
	switch s.t.Dialect {
	case sqldialect.MySQL:
		err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
			tasks, err = s.lockAndLease(ctx, tx, lease, ids)
			return err
		})
	case sqldialect.PostgreSQL:
		tasks, err = s.takeAtOnce(ctx, "{"+join(ids)+"}", lease.Microseconds())
	default:
		// In the order of the placeholders.
		tasks, err = s.takeAtOnce(ctx, lease.Microseconds(), "["+join(ids)+"]")
	}
	slices.SortFunc(tasks, func(a, b Task) int { return cmp.Compare(position[a.ID], position[b.ID]) })
	return tasks, err
}

func (s *Schedule) takeAtOnce(ctx context.Context, args ...any) (tasks []Task, err error) {
	err = sqltable.Again(ctx, func() error {
		tasks, err = sqltable.Collect(ctx, &s.t, s.t.DB, s.q.take, args, scanTask)
		return s.t.Mark(ctx, err)
	})
	return tasks, err
}

// lockAndLease is for MySQL, which answers no rows from an UPDATE.
func (s *Schedule) lockAndLease(ctx context.Context, tx *sql.Tx, lease time.Duration, ids []int64) ([]Task, error) {
	tasks, err := sqltable.Collect(ctx, &s.t, tx, fmt.Sprintf(s.q.lock, sqldialect.List(len(ids))), anys(ids), scanTask)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	args := []any{lease.Microseconds()}
	for i := range tasks {
		args = append(args, tasks[i].ID)
		tasks[i].Fence++
		tasks[i].Leased = true
	}
	_, err = s.t.Exec(ctx, tx, fmt.Sprintf(s.q.leased, sqldialect.List(len(tasks))), args...)
	return tasks, err
}

func join(ids []int64) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(parts, ",")
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// scanTask reads the columns of a task and the clock.
func scanTask(row dbtx.Row) (Task, error) {
	var (
		t                                        Task
		due, created, updated, finished, nowTime int64
		claimAt                                  sql.NullInt64
	)
	err := row.Scan(&t.ID, &t.Queue, &t.Target, &t.Key, &t.Group, &t.Status, &t.Payload, &t.State, &t.Error, &t.Attempts, &t.Fence,
		&due, &claimAt, &created, &updated, &finished, &nowTime)
	t.Due, t.CreatedAt, t.UpdatedAt, t.FinishedAt = sqltable.Time(due), sqltable.Time(created), sqltable.Time(updated), sqltable.Time(finished)
	t.Leased = t.Status == Waiting && claimAt.Valid && claimAt.Int64 > due && claimAt.Int64 > nowTime
	return t, err
}
