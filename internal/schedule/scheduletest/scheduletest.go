// Package scheduletest is the suite that a schedule passes on each database.
// Each case's name is a guarantee:
//
//	scheduletest.Run(t, scheduletest.Harness{New: func(t *testing.T) scheduletest.Fixture {
//		return scheduletest.Fixture{Ops: scheduletest.Of(s), DB: db, Advance: …}
//	}})
package scheduletest

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Ops are the operations of a schedule, each of which a test can replace.
type Ops struct {
	Add      func(context.Context, schedule.Spec) (bool, error)
	AddTx    func(context.Context, dbtx.Executor, schedule.Spec) (bool, error)
	Replace  func(ctx context.Context, tx dbtx.Tx, spec schedule.Spec, may func(schedule.Task) bool) (bool, error)
	Pending  func(ctx context.Context, tx dbtx.Tx, queue, target, group string) (bool, error)
	Claim    func(context.Context, schedule.ClaimRequest) ([]schedule.Task, error)
	Extend   func(context.Context, schedule.Task, time.Duration) error
	Release  func(context.Context, schedule.Task) error
	Settle   func(context.Context, schedule.Task, schedule.Outcome) error
	SettleTx func(context.Context, dbtx.Executor, schedule.Task, schedule.Outcome) error
	Get      func(context.Context, int64) (schedule.Task, error)
	Find     func(ctx context.Context, queue, target, key string) (schedule.Task, error)
	List     func(context.Context, schedule.Filter) ([]schedule.Task, error)
	Counts   func(context.Context, string) (schedule.Counts, error)
	Cancel   func(context.Context, int64) error
	RunNow   func(context.Context, int64) error
	Prune    func(context.Context, schedule.PruneRequest) (int64, error)
}

// Of returns the operations of s.
func Of(s *schedule.Schedule) Ops {
	return Ops{
		Add: s.Add, AddTx: s.AddTx, Replace: s.ReplaceTx, Pending: s.Pending, Claim: s.Claim, Extend: s.Extend, Release: s.Release, Settle: s.Settle,
		SettleTx: s.SettleTx, Get: s.Get, Find: s.Find, List: s.List, Counts: s.Counts, Cancel: s.Cancel, RunNow: s.RunNow, Prune: s.Prune,
	}
}

// Fixture is a schedule without tasks.
type Fixture struct {
	Ops
	// DB and TxOptions are for transactions of the caller's.
	DB        *sql.DB
	TxOptions *sql.TxOptions
	// Advance lets d pass by the schedule's clock, which stands still otherwise.
	Advance func(d time.Duration)
	// Now reads that clock.
	Now func() time.Time
}

// Harness tells the suite about a database.
type Harness struct {
	New func(t *testing.T) Fixture
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if failed := c.outcome(h.New(t)); failed != "" {
				t.Fatal(failed)
			}
		})
	}
}

// Failing runs the cases with the given names, or all, and returns the names of
// those that fail, for schedules that are broken on purpose.
func Failing(t *testing.T, h Harness, only ...string) []string {
	t.Helper()
	var failing []string
	for _, c := range cases {
		if len(only) > 0 && !slices.Contains(only, c.name) {
			continue
		}
		if c.outcome(h.New(t)) != "" {
			failing = append(failing, c.name)
		}
	}
	return failing
}

type testCase struct {
	name string
	run  func(c *C)
}

var cases = slices.Concat(addCases, claimCases, leaseCases, settleCases, groupCases, groupRaceCases, manageCases)

// outcome runs the case to its end or its first failure.
func (tc testCase) outcome(f Fixture) (failed string) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The case ends at its first failure, as t.Fatal would end it.
		tc.run(&C{Fixture: f, fail: func(msg string) { failed = msg; runtime.Goexit() }})
	}()
	<-ended
	return failed
}

// C is one case at work. Its checks belong on the case's own goroutine.
type C struct {
	Fixture
	fail func(string)
}

var background = context.Background()

const (
	queue  = "park"
	target = "stock"
	lease  = time.Minute
)

func (c *C) fatalf(format string, args ...any) { c.fail(fmt.Sprintf(format, args...)) }

func (c *C) must(what string, err error) {
	if err != nil {
		c.fatalf("%s: %v", what, err)
	}
}

// spec is a task of the usual queue and target.
func spec(key string) schedule.Spec {
	return schedule.Spec{Queue: queue, Target: target, Key: key, Payload: []byte("payload of " + key)}
}

func (c *C) add(s schedule.Spec) {
	added, err := c.Add(background, s)
	if err != nil || !added {
		c.fatalf("add %q: %v, %v; want it added", s.Key, added, err)
	}
}

// member is a task of a group that waits for those before it.
func member(key, group string) schedule.Spec {
	s := spec(key)
	s.Group, s.Hold = group, true
	return s
}

func request(limit int) schedule.ClaimRequest {
	return schedule.ClaimRequest{Queue: queue, Limit: limit, Lease: lease}
}

func (c *C) claim(r schedule.ClaimRequest) []schedule.Task {
	tasks, err := c.Claim(background, r)
	c.must("claim", err)
	return tasks
}

// want claims and checks the keys, in order.
func (c *C) want(r schedule.ClaimRequest, keys ...string) []schedule.Task {
	tasks := c.claim(r)
	if got := keysOf(tasks); !slices.Equal(got, keys) {
		c.fatalf("claimed %q, want %q", got, keys)
	}
	return tasks
}

func keysOf(tasks []schedule.Task) []string {
	keys := make([]string, 0, len(tasks))
	for _, t := range tasks {
		keys = append(keys, t.Key)
	}
	return keys
}

func (c *C) settle(t schedule.Task, o schedule.Outcome) {
	c.must("settle "+t.Key, c.Settle(background, t, o))
}

func (c *C) get(id int64) schedule.Task {
	t, err := c.Get(background, id)
	c.must("get", err)
	return t
}

func (c *C) find(key string) schedule.Task {
	t, err := c.Find(background, queue, target, key)
	c.must("find "+key, err)
	return t
}

// begin opens a transaction of the caller's.
func (c *C) begin() *sql.Tx {
	tx, err := c.DB.BeginTx(background, c.TxOptions)
	c.must("begin", err)
	return tx
}

// done finishes a task.
var done = schedule.Outcome{Status: schedule.Done}

// later runs a task again.
func later(d time.Duration) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: d, Attempts: 1, Error: "not now"}
}
