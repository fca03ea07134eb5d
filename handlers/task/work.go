package task

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/outage"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/text"
)

var (
	// ErrTimeout is the cause of the context's end when Config.Timeout is over.
	ErrTimeout = failure.ErrTimeout
	// ErrLost is the cause of the context's end when another process has the task.
	ErrLost = schedule.ErrStale
)

func (q *Queue) newWorker(fn Func) (*schedule.Worker, error) {
	c := q.cfg
	return schedule.NewWorker(q.schedule, prefix+q.name, q.handler(fn), schedule.WorkerConfig{ //nolint:wrapcheck // it names the field
		Concurrency: c.Concurrency, PerTarget: c.PerTarget, Lease: c.Lease,
		PollMin: quickest, PollMax: c.PollMax, Jitter: c.Jitter,
		Failed: q.broken, Settled: q.settled,
		Retain: c.Retain, RetainDead: c.RetainDead, Logger: c.Logger,
	})
}

// handler gives a task to fn and judges what that says.
func (q *Queue) handler(fn Func) schedule.Handler {
	return func(ctx context.Context, t schedule.Task) schedule.Outcome {
		limited, cancel := context.WithTimeoutCause(ctx, q.cfg.Timeout, ErrTimeout)
		defer cancel()
		o := fn(limited, q.task(t))
		if o.kind == failed && errors.Is(context.Cause(limited), ErrTimeout) {
			o.err = fmt.Errorf("%w: %w", ErrTimeout, o.err) // an attempt, whatever it looks like
		}
		return q.judge(t, o)
	}
}

// judge says what becomes of t. The engine gives a task that is to run again back as
// it was where its context has ended.
func (q *Queue) judge(t schedule.Task, o Outcome) schedule.Outcome {
	out := schedule.Outcome{Status: schedule.Waiting, Attempts: t.Attempts, State: o.state, Then: o.and}
	switch o.kind {
	case succeeded:
		out.Status, out.Attempts = schedule.Done, t.Attempts+1
	case withdrawn:
		out.Status, out.Error = schedule.Cancelled, o.err.Error()
	case later:
		out.Delay, out.Error = min(o.delay, maxWait), t.Error
	case failed:
		q.failed(t, o.err, &out)
	default:
		q.failed(t, errNoOutcome, &out)
	}
	return out
}

// failed judges an attempt by its error.
func (q *Queue) failed(t schedule.Task, err error, out *schedule.Outcome) {
	out.Error = err.Error()
	old := q.cfg.MaxAge > 0 && q.now().Sub(t.CreatedAt) >= q.cfg.MaxAge
	away := outage.Is(err)
	if !away {
		out.Attempts++
	}
	defer q.bury(t, out)
	switch {
	case old, failure.IsPermanent(err), out.Attempts >= q.cfg.MaxAttempts && !away:
		out.Status = schedule.Dead
	case away:
		out.Delay = q.cfg.Away
	default:
		out.Delay = q.cfg.Delays[min(out.Attempts, len(q.cfg.Delays))-1]
		if asked, ok := failure.Delay(err); ok {
			out.Delay = min(max(asked, 0), q.cfg.MaxRetryAfter)
		}
	}
}

// bury has Config.Dead run where out is the end of t.
func (q *Queue) bury(t schedule.Task, out *schedule.Outcome) {
	if out.Status != schedule.Dead || q.cfg.Dead == nil {
		return
	}
	dead, and := q.task(t), out.Then
	dead.Status, dead.Attempts, dead.Error = Dead, out.Attempts, out.Error
	if out.State != nil {
		dead.State = out.State
	}
	out.Then = func(ctx context.Context, tx *sql.Tx) error {
		if and != nil {
			if err := and(ctx, tx); err != nil {
				return err
			}
		}
		if err := q.cfg.Dead(ctx, tx, dead); err != nil {
			return &unburied{err}
		}
		return nil
	}
}

// unburied is an error of Config.Dead: the task is not dead, and will be tried once more.
type unburied struct{ error }

func (u *unburied) Unwrap() error { return u.error }

// broken is what becomes of a task whose function panicked, or whose And failed.
func (q *Queue) broken(t schedule.Task, err error) schedule.Outcome {
	out := schedule.Outcome{Status: schedule.Waiting, Attempts: t.Attempts}
	if _, ok := errors.AsType[*unburied](err); ok {
		out.Delay, out.Error = q.cfg.Away, err.Error()
		return out
	}
	q.failed(t, err, &out)
	return out
}

func (q *Queue) now() time.Time {
	if q.cfg.Now != nil {
		return q.cfg.Now()
	}
	return time.Now()
}

// maxReason is how many bytes of an error an alert holds.
const maxReason = 512

// settled tells of a task that is dead, now that it is.
func (q *Queue) settled(t schedule.Task, o schedule.Outcome) {
	if o.Status != schedule.Dead || q.cfg.Alerts == nil {
		return
	}
	labels := map[string]string{"queue": q.name}
	if t.Target != "" {
		labels["target"] = t.Target
	}
	q.cfg.Alerts.Emit(alert.Alert{
		Name: AlertDead, Labels: labels, Summary: "A task was given up.", Key: t.Key, Reason: text.Short(o.Error, maxReason),
	})
}
