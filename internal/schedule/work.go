package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// stopGrace is how long a statement that is under way may go on after the worker
// was told to stop.
const stopGrace = 5 * time.Second

// linger returns a context that ends so long after ctx.
func linger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() {
		stop()
		cancel()
	}
}

// work runs one task, claimed no earlier than at that time, to its settlement.
func (w *Worker) work(ctx context.Context, t Task, claimed time.Time) {
	defer w.ended(t)
	hctx, cancel := context.WithCancelCause(ctx)
	// The lease is renewed until the handler has returned, also while the worker stops.
	rctx, returned := context.WithCancel(context.WithoutCancel(ctx))
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		w.renew(rctx, cancel, t, claimed)
	}()
	place := &aside{w: w}
	o, err := w.call(context.WithValue(hctx, asideKey{}, place), t)
	place.ended()
	returned()
	<-renewed
	lost := errors.Is(context.Cause(hctx), ErrStale)
	cutOff := hctx.Err() != nil
	cancel(nil)
	if err != nil {
		var ok bool
		if o, ok = w.failed(t, err); !ok {
			return
		}
	}
	if !o.Settled {
		w.settle(ctx, t, o, cutOff, lost)
	}
}

// failed says what becomes of a task whose handler failed, or false where
// WorkerConfig.Failed does not know either: the task then comes back after its lease.
func (w *Worker) failed(t Task, err error) (Outcome, bool) {
	log := w.log.With("task", t.ID, "target", t.Target, "error", err)
	if p, ok := errors.AsType[*panicked](err); ok {
		log = log.With("stack", string(p.stack))
	}
	log.Error("handler of a task failed")
	o, err := w.cfg.Failed(t, err).normalize()
	if err != nil {
		log.Error("WorkerConfig.Failed gave no valid outcome; the task comes back after its lease", "reason", err)
	}
	return o, err == nil
}

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("handler panicked: %v", p.value) }

// call runs the handler. A panic, a Goexit and an outcome that is not valid are errors.
func (w *Worker) call(ctx context.Context, t Task) (o Outcome, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = errors.New("handler ended its goroutine") // unless it returns
		defer func() {
			if p := recover(); p != nil {
				err = &panicked{value: p, stack: debug.Stack()}
			}
		}()
		if o = w.handler(ctx, t); o.Settled {
			err = nil
			return
		}
		o, err = o.normalize()
	}()
	<-ended
	return o, err
}

// renew extends the lease until ctx ends, and ends the handler's context where the
// claim is lost, or can have been.
func (w *Worker) renew(ctx context.Context, cancel context.CancelCauseFunc, t Task, until time.Time) {
	until = until.Add(w.cfg.Lease)
	for wait := w.cfg.Lease / 3; backoff.Wait(ctx, wait) == nil; {
		asked := time.Now()
		err := w.extend(ctx, t, until)
		wait = w.cfg.Lease / 3
		switch {
		case err == nil:
			until = asked.Add(w.cfg.Lease)
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrStale), !time.Now().Before(until):
			w.log.Warn("the claim of a task was lost while it was worked on", "task", t.ID, "target", t.Target, "error", err)
			cancel(ErrStale)
			return
		}
		wait = max(w.cfg.Lease/10, time.Millisecond)
	}
}

// extend gives one renewal a third of the lease, and no more than is left of it: a
// statement that hangs must not hide that the lease has run out. One that has run out
// already may still be ours.
func (w *Worker) extend(ctx context.Context, t Task, until time.Time) error {
	limit := w.cfg.Lease / 3
	if left := time.Until(until); left > 0 {
		limit = min(limit, left)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return w.s.Extend(ctx, t, w.cfg.Lease)
}

// settle settles, trying for as long as a lease lasts: after that the task is due
// again anyway. A task that is to run again because its handler was cut off is
// given back as it was.
func (w *Worker) settle(ctx context.Context, t Task, o Outcome, cutOff, lost bool) {
	ctx, stop := linger(ctx, stopGrace)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease)
	defer cancel()
	pause := backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}
	o.Delay = w.jitter(o.Delay)
	replaced := false
	for n := 1; ; n++ {
		var err error
		given := o.Status == Waiting && cutOff && !o.Spent
		if given {
			err = w.s.Release(ctx, t)
		} else {
			err = w.s.Settle(ctx, t, o)
		}
		switch {
		case err == nil && given:
			return
		case err == nil, errors.Is(err, ErrStale) && n > 1 && !lost: // settled by a try whose answer was lost
			if w.soon(t, o) {
				w.Wake()
			}
			if o.Tell != nil {
				o.Tell()
			}
			w.cfg.Settled(t, o)
			return
		case errors.Is(err, ErrStale) && lost:
			return // which was told
		}
		passing := errors.Is(err, ErrContended) || failure.IsUnavailable(err)
		if then, ok := errors.AsType[*ThenError](err); ok && !passing && !replaced && ctx.Err() == nil {
			if o, ok = w.failed(t, then); !ok {
				return
			}
			replaced, n = true, 0 // once: what its own Then fails with is below
			continue
		}
		if !passing || backoff.Wait(ctx, pause.Delay(n)) != nil {
			w.log.Warn("a task could not be settled", "task", t.ID, "target", t.Target, "error", err)
			return
		}
	}
}

// soon reports whether the settlement of t has made something due before the worker, which may be
// asleep by now, would look again: t itself, or the next of its group.
func (w *Worker) soon(t Task, o Outcome) bool {
	if o.Status.Finished() {
		return t.Group != ""
	}
	return o.Delay < w.cfg.PollMax
}
