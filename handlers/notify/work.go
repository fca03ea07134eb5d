package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Waits of what is not to be tried now.
const (
	databaseAway = 5 * time.Second
	repair       = 10 * time.Minute
)

// job is a notification that is worked on, as the tables had it.
type job struct {
	task  schedule.Task
	uid   string
	round int64

	request, contentType string
	payload              []byte
	status               Status
	attempts, base       int
	rowRound             int64
	since, nextAt, now   time.Time
	known                bool // the target is there
	target               stored
	lastError            string
}

// broken is what becomes of a task whose handler panicked: no attempt is spent, and it does not spin.
func broken(t schedule.Task, err error) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: repair, Attempts: t.Attempts, Error: err.Error(), Spent: true}
}

// later has the task come back, with no attempt spent.
func later(t schedule.Task, d time.Duration) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: max(d, 0), Attempts: t.Attempts, Error: t.Error, Spent: true}
}

// released gives the task back as it was: we stop.
func released(t schedule.Task) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: databaseAway, Attempts: t.Attempts, Error: t.Error}
}

// work takes one notification as far as it can be taken now. What it decides is in the
// tables before the task is settled: the row of the notification says what was done,
// and a task that comes again, because its process died in between, finds it there.
func (n *Notifier) work(ctx context.Context, t schedule.Task) schedule.Outcome {
	uid, round, ok := strings.Cut(t.Key, ":")
	number, err := strconv.ParseInt(round, 10, 64)
	if !ok || err != nil {
		n.cfg.Logger.Error("a task of notifications is none", "task", t.ID)
		return schedule.Outcome{Status: schedule.Dead, Attempts: t.Attempts, Error: "its key names no notification"}
	}
	j := &job{task: t, uid: uid, round: number}
	if o, ready := n.ready(ctx, j); !ready {
		return o
	}
	back := schedule.Aside(ctx)
	p, wait, err := n.gates.enter(ctx, t.Target, uid, j.target.options)
	switch {
	case err != nil:
		return released(t)
	case wait > 0:
		back()
		return later(t, wait)
	}
	defer p.leave(unknown)
	if p.waited { // and meanwhile anything may have happened
		if o, ready := n.ready(ctx, j); !ready {
			return o
		}
	}
	r := n.post(ctx, j)
	back()
	switch {
	case r.delivered:
		n.tellCircuit(j, p.leave(good), "")
	case !r.cutOff:
		n.tellCircuit(j, p.leave(failed), r.err)
	default:
		return released(t)
	}
	return n.settle(ctx, j, r)
}

// ready loads the job and reports whether it may be tried now; if not, what becomes of
// its task.
func (n *Notifier) ready(ctx context.Context, j *job) (schedule.Outcome, bool) {
	t := j.task
	over := schedule.Outcome{Status: schedule.Done, Attempts: t.Attempts}
	switch err := n.load(ctx, j); {
	case errors.Is(err, ErrNotFound): // removed since
		return over, false
	case errors.Is(err, errDamaged):
		n.cfg.Logger.Error("target cannot be read; its notifications stay", "target", t.Target)
		return later(t, repair), false
	case err != nil:
		if ctx.Err() != nil {
			return released(t), false
		}
		n.cfg.Logger.Warn("notification could not be read", "target", t.Target, "error", err)
		return later(t, databaseAway), false
	}
	switch {
	case j.rowRound != j.round:
		return over, false // sent again by hand: another task has it
	case j.status == Stopped:
		n.tellExhausted(j) // the process that stopped it died before it had told
		over.Status = schedule.Dead
		return over, false
	case j.status != Waiting:
		return over, false
	case !j.known, j.target.disabled:
		return n.hold(ctx, j), false
	case j.nextAt.After(j.now):
		return later(t, j.nextAt.Sub(j.now)), false
	case j.target.throttledUntil.After(j.now):
		wait := j.target.throttledUntil.Sub(j.now)
		return later(t, wait+rand.N(wait/20+1)), false // not all together
	}
	return schedule.Outcome{}, true
}
