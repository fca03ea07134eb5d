package task

import (
	"context"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Status is where a task stands.
type Status = schedule.Status

// The statuses. Waiting and Held are unfinished, the others are final.
const (
	Waiting   Status = schedule.Waiting   // for its time, or at work
	Held      Status = schedule.Held      // behind others of its group
	Done      Status = schedule.Done      // it Succeeded
	Dead      Status = schedule.Dead      // given up
	Cancelled Status = schedule.Cancelled // by Cancel, or Withdrawn
)

// Task is a task as the table has it.
type Task struct {
	ID                        int64
	Queue, Target, Key, Group string
	Status                    Status
	Payload, State            []byte
	// Attempts is how many were made and failed; of a task that is Done, all.
	Attempts int
	// Error is why the last attempt failed, or why the task was withdrawn.
	Error string
	// Fence grows each time that a worker takes the task: a resource that keeps the
	// highest it has seen can refuse whoever comes with less.
	Fence int64
	// AtWork says that a worker has the task.
	AtWork bool
	// Due is when the task is or was to run.
	Due                  time.Time
	CreatedAt, UpdatedAt time.Time
	// FinishedAt is zero for an unfinished task.
	FinishedAt time.Time
}

func (q *Queue) task(t schedule.Task) Task {
	return Task{
		ID: t.ID, Queue: q.name, Target: t.Target, Key: t.Key, Group: t.Group, Status: t.Status,
		Payload: t.Payload, State: t.State, Attempts: t.Attempts, Error: t.Error, Fence: t.Fence, AtWork: t.Leased,
		Due: t.Due, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, FinishedAt: t.FinishedAt,
	}
}

// get reads a task, which must be of this queue.
func (q *Queue) get(ctx context.Context, id int64) (schedule.Task, error) {
	t, err := q.schedule.Get(ctx, id)
	if err == nil && t.Queue != prefix+q.name {
		return schedule.Task{}, ErrNotFound
	}
	return t, err //nolint:wrapcheck // it says what it did
}

// Get returns a task of the queue. ErrNotFound where there is none.
func (q *Queue) Get(ctx context.Context, id int64) (Task, error) {
	t, err := q.get(ctx, id)
	if err != nil {
		return Task{}, err
	}
	return q.task(t), nil
}

// Find returns the unfinished task with this key. ErrNotFound where there is none.
func (q *Queue) Find(ctx context.Context, target, key string) (Task, error) {
	t, err := q.schedule.Find(ctx, prefix+q.name, target, key)
	if err != nil {
		return Task{}, err //nolint:wrapcheck // it says what it did
	}
	return q.task(t), nil
}

// Filter says which tasks List returns. The zero value is for all of the queue.
type Filter struct {
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
func (q *Queue) List(ctx context.Context, f Filter) ([]Task, error) {
	list, err := q.schedule.List(ctx, schedule.Filter{
		Queue: prefix + q.name, Status: f.Status, Target: f.Target, Key: f.Key, Group: f.Group, Limit: f.Limit,
		After: schedule.Task{ID: f.After.ID, FinishedAt: f.After.FinishedAt},
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it did
	}
	out := make([]Task, len(list))
	for i, t := range list {
		out[i] = q.task(t)
	}
	return out, nil
}

// Cancel finishes a task that is not finished yet as Cancelled. One that is at work is
// not waited for: its Outcome, with what that would have written, is refused.
// ErrNotFound, ErrFinished.
func (q *Queue) Cancel(ctx context.Context, id int64) error {
	if _, err := q.get(ctx, id); err != nil {
		return err
	}
	return q.schedule.Cancel(ctx, id) //nolint:wrapcheck // it says what it did
}

// RunNow makes a waiting task due at once; its attempts stay as they are. A dead one
// is tried again by adding its key anew. ErrNotFound, ErrFinished, ErrHeld, ErrAtWork.
func (q *Queue) RunNow(ctx context.Context, id int64) error {
	if _, err := q.get(ctx, id); err != nil {
		return err
	}
	if err := q.schedule.RunNow(ctx, id); err != nil {
		return err //nolint:wrapcheck // it says what it did
	}
	q.Wake()
	return nil
}

// Counts tell how much the queue holds.
type Counts struct {
	Of  map[Status]int64
	Due int64 // that could be worked now
	// Oldest is when the first of those became due; zero where there is none.
	Oldest time.Time
}

// Counts counts the tasks of the queue.
func (q *Queue) Counts(ctx context.Context) (Counts, error) {
	c, err := q.schedule.Counts(ctx, prefix+q.name)
	return Counts(c), err //nolint:wrapcheck // it says what it did
}
