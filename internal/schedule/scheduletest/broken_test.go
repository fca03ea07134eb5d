package scheduletest_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schedule/scheduletest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// harness is a schedule on SQLite, broken by flaw.
func harness(t *testing.T, flaw func(o *scheduletest.Ops)) scheduletest.Harness {
	t.Helper()
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	return scheduletest.Harness{New: func(t *testing.T) scheduletest.Fixture {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sluicegate_task"); err != nil {
			t.Fatal(err)
		}
		var at atomic.Int64
		at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
		now := func() time.Time { return time.UnixMicro(at.Load()).UTC() }
		s, err := schedule.New(db, schedule.Config{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		o := scheduletest.Of(s)
		flaw(&o)
		return scheduletest.Fixture{Ops: o, DB: db, Now: now, Advance: func(d time.Duration) { at.Add(d.Microseconds()) }}
	}}
}

type (
	ctx     = context.Context
	task    = schedule.Task
	outcome = schedule.Outcome
	request = schedule.ClaimRequest
)

// claims breaks what is claimed.
func claims(flaw func(o scheduletest.Ops, r *request)) func(o *scheduletest.Ops) {
	return func(o *scheduletest.Ops) {
		sound := *o
		o.Claim = func(c ctx, r request) ([]task, error) {
			flaw(sound, &r)
			return sound.Claim(c, r)
		}
	}
}

// adds breaks what is added.
func adds(flaw func(s *schedule.Spec)) func(o *scheduletest.Ops) {
	return func(o *scheduletest.Ops) {
		add, addTx := o.Add, o.AddTx
		o.Add = func(c ctx, s schedule.Spec) (bool, error) { flaw(&s); return add(c, s) }
		o.AddTx = func(c ctx, tx dbtx.Executor, s schedule.Spec) (bool, error) { flaw(&s); return addTx(c, tx, s) }
	}
}

// settles breaks what is settled.
func settles(flaw func(t *task, o *outcome)) func(o *scheduletest.Ops) {
	return func(o *scheduletest.Ops) {
		settle, settleTx := o.Settle, o.SettleTx
		o.Settle = func(c ctx, t task, out outcome) error { flaw(&t, &out); return settle(c, t, out) }
		o.SettleTx = func(c ctx, tx dbtx.Executor, t task, out outcome) error {
			flaw(&t, &out)
			return settleTx(c, tx, t, out)
		}
	}
}

// oldest is the target that has been due for longest.
func oldest(o scheduletest.Ops) string {
	tasks, _ := o.List(context.Background(), schedule.Filter{Queue: "park", Status: schedule.Waiting, Limit: 1000})
	slices.SortFunc(tasks, func(a, b task) int { return a.Due.Compare(b.Due) })
	if len(tasks) == 0 {
		return "none"
	}
	return tasks[0].Target
}

var flaws = map[string]struct {
	flaw func(o *scheduletest.Ops)
	// caught names a case that must fail.
	caught string
}{
	"a delay is ignored":     {adds(func(s *schedule.Spec) { s.Delay = 0 }), "a task is due after its delay and not before"},
	"an own time is ignored": {adds(func(s *schedule.Spec) { s.Due = time.Time{} }), "a task is due at its own time, and at once where that is past"},
	"hold is ignored":        {adds(func(s *schedule.Spec) { s.Hold = s.Hold && s.Group == "" }), "the tasks of a group become due one after another, in the order of adding"},
	"groups are shared by all targets": {adds(func(s *schedule.Spec) {
		if s.Group != "" {
			s.Target = "stock"
		}
	}), "the tasks of a group become due one after another, in the order of adding"},
	"keys are unique across targets":    {adds(func(s *schedule.Spec) { s.Target = "stock" }), "a key is unique among the unfinished tasks of queue and target"},
	"a key is cut":                      {adds(func(s *schedule.Spec) { s.Key = s.Key[:min(len(s.Key), 300)] }), "keys and groups of any bytes and length are told apart"},
	"attempts made elsewhere are lost":  {adds(func(s *schedule.Spec) { s.Attempts = min(s.Attempts, 0) }), "what a task holds comes back byte by byte"},
	"an addition does not roll back":    {addOutside, "a task is there once the caller's transaction commits, and not where it rolls back"},
	"a second addition says it added":   {addAlways, "of concurrent additions of a key one adds"},
	"targets passed over are claimed":   {claims(func(_ scheduletest.Ops, r *request) { r.Not = nil }), "a target that is passed over hides no other"},
	"the limit of a target is ignored":  {claims(func(_ scheduletest.Ops, r *request) { r.PerTarget = 0 }), "a target that is full hides no other, and one with room gets as much as that"},
	"what is at work is ignored":        {claims(func(_ scheduletest.Ops, r *request) { r.Running = nil }), "targets with fewer tasks at work come first"},
	"the oldest target takes all":       {claims(func(o scheduletest.Ops, r *request) { r.Targets = []string{oldest(o)} }), "a target with many due tasks takes turns with the others"},
	"the targets asked for are ignored": {claims(func(_ scheduletest.Ops, r *request) { r.Targets = nil }), "only the queue and the targets that were asked for are claimed"},
	"a lease is too short":              {claims(func(_ scheduletest.Ops, r *request) { r.Lease = min(r.Lease, time.Second) }), "a claimed task is nobody else's until its lease ends"},
	"a lease never ends":                {claims(func(_ scheduletest.Ops, r *request) { r.Lease *= 1000 }), "a claimed task is nobody else's until its lease ends"},
	"an extension does nothing": {func(o *scheduletest.Ops) {
		o.Extend = func(ctx, task, time.Duration) error { return nil }
	}, "an extended lease lasts from then on"},
	"a stale settlement is hidden": {func(o *scheduletest.Ops) {
		settle := o.Settle
		o.Settle = func(c ctx, t task, out outcome) error {
			if err := settle(c, t, out); !errors.Is(err, schedule.ErrStale) {
				return err
			}
			return nil
		}
	}, "a claimed task is nobody else's until its lease ends"},
	"a stale settlement holds": {func(o *scheduletest.Ops) {
		settle, get := o.Settle, o.Get
		o.Settle = func(c ctx, t task, out outcome) error {
			if now, err := get(c, t.ID); err == nil {
				t.Fence = now.Fence
			}
			return settle(c, t, out)
		}
	}, "a claimed task is nobody else's until its lease ends"},
	"a release spends an attempt": {func(o *scheduletest.Ops) {
		settle := o.Settle
		o.Release = func(c ctx, t task) error {
			return settle(c, t, outcome{Status: schedule.Waiting, Attempts: t.Attempts + 1, Error: t.Error})
		}
	}, "a released task is as it was, in its old place"},
	"a task that failed comes back at once": {settles(func(_ *task, o *outcome) { o.Delay = 0 }), "a task that is to run again is due after the delay, with what the outcome says"},
	"the state is lost": {settles(func(_ *task, o *outcome) {
		if o.State == nil {
			o.State = []byte{}
		}
	}), "a task that is to run again is due after the delay, with what the outcome says"},
	"dead is done": {settles(func(_ *task, o *outcome) {
		if o.Status == schedule.Dead {
			o.Status = schedule.Done
		}
	}), "a finished task is never claimed, and its claim is over"},
	"who finishes lets another group's task go": {settles(func(t *task, _ *outcome) {
		if t.Group != "" {
			t.Group += "x"
		}
	}), "whatever finishes a task lets the next of its group become due"},
	"a settlement in a transaction is forgotten": {func(o *scheduletest.Ops) {
		o.SettleTx = func(ctx, dbtx.Executor, task, outcome) error { return nil }
	}, "a settlement in the caller's transaction holds once that commits"},
	"run now wakes what is held": {func(o *scheduletest.Ops) {
		run := o.RunNow
		o.RunNow = func(c ctx, id int64) error {
			if err := run(c, id); !errors.Is(err, schedule.ErrHeld) {
				return err
			}
			return nil
		}
	}, "a task that is run now is due at once"},
	"a replacement asks nobody": {func(o *scheduletest.Ops) {
		replace := o.Replace
		o.Replace = func(c ctx, tx dbtx.Tx, s schedule.Spec, _ func(task) bool) (bool, error) {
			return replace(c, tx, s, func(task) bool { return true })
		}
	}, "a task that is replaced begins again, in its place and only if it may"},
	"a replacement keeps what the task knew": {func(o *scheduletest.Ops) {
		replace := o.Replace
		o.Replace = func(c ctx, tx dbtx.Tx, s schedule.Spec, may func(task) bool) (bool, error) {
			s.State = []byte("old")
			return replace(c, tx, s, may)
		}
	}, "a task that is replaced begins again, in its place and only if it may"},
	"a cancellation does nothing": {func(o *scheduletest.Ops) {
		o.Cancel = func(ctx, int64) error { return nil }
	}, "a cancelled task is not claimed, and who has it learns of that"},
	"pruning spares nothing": {func(o *scheduletest.Ops) {
		prune := o.Prune
		o.Prune = func(c ctx, r schedule.PruneRequest) (int64, error) { r.OlderThan = 0; return prune(c, r) }
	}, "pruning removes old finished tasks in batches, and nothing else"},
	"pruning takes the dead too": {func(o *scheduletest.Ops) {
		prune := o.Prune
		o.Prune = func(c ctx, r schedule.PruneRequest) (int64, error) {
			r.Statuses = append(r.Statuses, schedule.Done, schedule.Dead)
			return prune(c, r)
		}
	}, "pruning removes old finished tasks in batches, and nothing else"},
	"a page begins at the start": {func(o *scheduletest.Ops) {
		list := o.List
		o.List = func(c ctx, f schedule.Filter) ([]task, error) {
			if f.After.ID > 0 {
				return nil, nil
			}
			return list(c, f)
		}
	}, "lists are filtered, paged and newest first"},
	"a group is never pending": {func(o *scheduletest.Ops) {
		o.Pending = func(ctx, dbtx.Tx, string, string, string) (bool, error) { return false, nil }
	}, "the tasks of a group become due one after another, in the order of adding"},
}

// addOutside adds though the caller's transaction may roll back.
func addOutside(o *scheduletest.Ops) {
	addTx := o.AddTx
	o.AddTx = func(c ctx, tx dbtx.Executor, s schedule.Spec) (bool, error) {
		added, err := addTx(c, tx, s)
		if err == nil && s.Key == "rolled back" {
			_, err = tx.ExecContext(c, "COMMIT; BEGIN IMMEDIATE")
		}
		return added, err
	}
}

// addAlways hides that the key was there.
func addAlways(o *scheduletest.Ops) {
	add := o.Add
	o.Add = func(c ctx, s schedule.Spec) (bool, error) {
		_, err := add(c, s)
		return err == nil, err
	}
}

func TestTheSuiteCatchesEachFlaw(t *testing.T) {
	for name, f := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if failing := scheduletest.Failing(t, harness(t, f.flaw), f.caught); len(failing) == 0 {
				t.Errorf("%q passes", f.caught)
			}
		})
	}
}
