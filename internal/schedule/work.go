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

// errStopping is the cause with which the handlers' contexts end when the worker stops.
var errStopping = errors.New("worker is stopping")

// work runs one task, claimed no earlier than at that time, to its settlement.
func (w *Worker) work(ctx context.Context, t Task, claimed time.Time) {
	defer w.ended(t)
	hctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		w.renew(hctx, cancel, t, claimed)
	}()
	o, err := w.call(hctx, t)
	stopping := ctx.Err() != nil
	lost := errors.Is(context.Cause(hctx), ErrStale)
	cancel(nil)
	<-renewed
	switch {
	case lost:
		return // told by renew
	case err != nil:
		log := w.log.With("task", t.ID, "target", t.Target, "error", err)
		if p, ok := errors.AsType[*panicked](err); ok {
			log = log.With("stack", string(p.stack))
		}
		log.Error("handler of a task failed")
		o = w.cfg.Failed(t, err)
	}
	w.settle(context.WithoutCancel(ctx), t, o, stopping)
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
		o = w.handler(ctx, t)
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
		err := w.s.Extend(ctx, t, w.cfg.Lease)
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

// settle settles, trying for as long as a lease lasts: after that the task is due
// again anyway.
func (w *Worker) settle(ctx context.Context, t Task, o Outcome, stopping bool) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease)
	defer cancel()
	pause := backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}
	o.Delay = w.jitter(o.Delay)
	for n := 1; ; n++ {
		var err error
		if o.Status == Waiting && stopping && !o.Spent {
			err = w.s.Release(ctx, t)
		} else {
			err = w.s.Settle(ctx, t, o)
		}
		if err == nil {
			return
		}
		passing := errors.Is(err, ErrContended) || failure.IsUnavailable(err)
		if !passing || backoff.Wait(ctx, pause.Delay(n)) != nil {
			w.log.Warn("a task could not be settled", "task", t.ID, "target", t.Target, "error", err)
			return
		}
	}
}
