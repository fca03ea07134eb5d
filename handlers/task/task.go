package task

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// What errors.Is finds in an error of this package.
var (
	// ErrInvalid: an argument cannot be used. Nothing was changed.
	ErrInvalid = schedule.ErrInvalid
	// ErrNotFound: there is no such task.
	ErrNotFound = schedule.ErrNotFound
	// ErrFinished: the task is finished already.
	ErrFinished = schedule.ErrFinished
	// ErrAtWork: a worker has the task now.
	ErrAtWork = schedule.ErrLeased
	// ErrHeld: the task waits behind others of its group.
	ErrHeld = schedule.ErrHeld
	// ErrContended: a race for a row was lost. Add wants a new transaction.
	ErrContended = schedule.ErrContended
	// ErrRunning: Run was called while it was running.
	ErrRunning = errors.New("queue is being worked already")
)

// Executor runs a statement in a transaction: *sql.Tx, or what your ORM has.
type Executor = dbtx.Executor

// Limits, in bytes. A key or group that is longer, or is not plain text to every
// database, is kept as "sha256:" and its hash.
const (
	MaxName   = schedule.MaxQueue - len(prefix)
	MaxTarget = schedule.MaxTarget
	MaxKey    = schedule.MaxKey
	MaxState  = schedule.MaxState
)

// prefix keeps the queues of users apart from those of the ready-made handlers.
const prefix = "own."

// Spec is a task that is to be added.
type Spec struct {
	// Target is the unit of fairness and concurrency: a partner, a customer, a kind.
	Target string
	// Key is unique among the unfinished tasks of the target. Required.
	Key string
	// Group has the tasks of a target that share it worked one at a time, in the
	// order of adding. Default: none.
	Group string
	// Payload is what the task is about; it never changes. Who works on the current
	// row, by its key, needs none.
	Payload []byte
	// State is small, at most 256 KiB, and may change with each Outcome.
	State []byte
	// Delay is the time from now until the task is due. Default: at once.
	Delay time.Duration
	// Due is when the task is due, in place of Delay. A time in the past is now.
	Due time.Time
}

// Queue is one kind of work: its tasks, and what is to become of those that fail.
// It is safe for concurrent use. It owns no goroutine but within Run.
type Queue struct {
	name     string
	cfg      Config
	schedule *schedule.Schedule

	mu     sync.Mutex
	worker *schedule.Worker // while Run runs
}

// New returns the queue name in db, whose tables sluicegate.Migrate has made and which
// stays the caller's to close. It does not connect. All problems are reported
// together, each with its field.
func New(db *sql.DB, name string, cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if name == "" || len(name) > MaxName || strings.Contains(name, "\x00") {
		err = errors.Join(fmt.Errorf("name: %d bytes, use 1 to %d without NUL", len(name), MaxName), err)
	}
	s, openErr := schedule.New(db, schedule.Config{Dialect: cfg.Dialect, Schema: cfg.Schema, Prefix: cfg.Prefix, Now: cfg.Now})
	if err = errors.Join(err, openErr); err != nil {
		return nil, fmt.Errorf("new task queue: %w", err)
	}
	q := &Queue{name: name, cfg: cfg, schedule: s}
	// A trial worker: what it refuses is refused here, not at Run.
	if _, err := q.newWorker(func(context.Context, Task) Outcome { return Outcome{} }); err != nil {
		return nil, fmt.Errorf("new task queue: %w", err)
	}
	return q, nil
}

// Add adds a task in the caller's transaction: it is there when that commits; call Wake
// then to have it worked at once. It answers false where an unfinished task with this
// target and key is there, and changes nothing then. Another transaction that adds
// the same key is waited for. An error that wraps ErrContended wants a new transaction.
//
// On MySQL, transactions that add to groups should be READ COMMITTED: its default takes
// gap locks, over which they meet in deadlocks.
func (q *Queue) Add(ctx context.Context, tx Executor, spec Spec) (added bool, err error) {
	switch tx.(type) {
	case nil:
		return false, fmt.Errorf("add task: %w: tx: is nil", ErrInvalid)
	case *sql.DB, *sql.Conn:
		return false, fmt.Errorf("add task: %w: tx: %T is no transaction", ErrInvalid, tx)
	}
	return q.schedule.AddTx(ctx, tx, schedule.Spec{ //nolint:wrapcheck // it says what it did
		Queue: prefix + q.name, Target: spec.Target, Key: spec.Key, Group: spec.Group, Hold: spec.Group != "",
		Payload: spec.Payload, State: spec.State, Delay: spec.Delay, Due: spec.Due,
	})
}

// Wake has the worker of this process look at once: after a commit that added a task.
// Others look every Config.PollMax. It never blocks, and does nothing where Run does
// not run here.
func (q *Queue) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.worker != nil {
		q.worker.Wake()
	}
}

// Run works the tasks of the queue by fn until ctx ends. It then takes none any more, ends
// the contexts of those at work, waits for them, settles what they return, and returns
// nil: a database that is away is waited for. The only errors are ErrRunning and a
// nil fn.
func (q *Queue) Run(ctx context.Context, fn Func) error {
	if fn == nil {
		return errors.New("run task queue: fn: is nil")
	}
	w, err := q.newWorker(fn)
	if err != nil {
		return fmt.Errorf("run task queue: %w", err)
	}
	q.mu.Lock()
	if q.worker != nil {
		q.mu.Unlock()
		return ErrRunning
	}
	q.worker = w
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.worker = nil
		q.mu.Unlock()
	}()
	return w.Run(ctx) //nolint:wrapcheck // it says what it is
}
