package objectsync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/text"
)

// work is the handler of the schedule's worker.
func (s *Syncer) work(ctx context.Context, t schedule.Task) schedule.Outcome {
	if t.Target == s.recheckTarget() {
		return s.recheck(ctx, t)
	}
	s.process(ctx, t)
	return schedule.Outcome{Settled: true}
}

// process makes a run for a claimed task and ends the claim.
func (s *Syncer) process(ctx context.Context, t schedule.Task) Result {
	st := stateOf(t)
	r := s.try(ctx, t.Key)
	r.unsure = r.unsure || st.unsure
	res := Result{Entity: t.Key, Key: r.rec.Key, Status: Pending, Version: r.rec.Version, Tries: r.tries}
	// What is true is written although the process is to stop.
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	var (
		v   verdict
		err error
	)
	switch {
	case errors.Is(context.Cause(ctx), schedule.ErrStale):
		err = schedule.ErrStale
	case r.err != nil && ctx.Err() != nil: // cut off: no attempt
		res.Err = context.Cause(ctx)
		err = s.schedule.Release(wctx, t)
	default:
		v = s.judge(t, &r, st)
		if err = s.settle(wctx, t, &r, &v); err == nil {
			s.tell(&r, v)
			res = v.result(&r)
		}
	}
	switch {
	case errors.Is(err, schedule.ErrStale):
		res.Err = ErrBusy
		s.late(wctx, &r)
	case err != nil:
		res.Err = err
		s.log.Warn("a run could not be settled; it is repeated after its lease", "entity", t.Key, "error", err)
	case v.again:
		s.Wake()
	}
	return res
}

// settleTime bounds the writing of what became of a run.
const settleTime = 15 * time.Second

// verdict is what becomes of a task and its record.
type verdict struct {
	status  Status
	outcome schedule.Outcome
	// version and the like are in the record already, as they were
	kept bool
	// again says that the entity was marked meanwhile
	again bool
}

// judge decides by what the run came to.
func (s *Syncer) judge(t schedule.Task, r *run, st state) verdict {
	v := verdict{kept: r.err != nil}
	switch {
	case errors.Is(r.err, ErrNoRecord):
		v.status = Removed
		v.outcome = schedule.Outcome{Status: schedule.Cancelled, Attempts: t.Attempts, Error: r.err.Error()}
	case r.err == nil:
		v.status = r.status
		v.outcome = schedule.Outcome{Status: schedule.Done, Attempts: t.Attempts + 1}
	case away(r.err):
		st.excused++
		wait := backoff.Policy{Initial: min(s.cfg.Schedule.Initial, s.cfg.OutageMax), Max: s.cfg.OutageMax, Multiplier: 2}
		v.status = Pending
		v.outcome = schedule.Outcome{
			Status: schedule.Waiting, Delay: wait.Delay(st.excused), Attempts: t.Attempts, Error: r.err.Error(), State: stateAfter(t, st.excused, r.unsure),
		}
	case failure.IsPermanent(r.err) || t.Attempts+1 >= s.cfg.Schedule.MaxAttempts:
		v.status = Failed
		v.outcome = schedule.Outcome{Status: schedule.Dead, Attempts: t.Attempts + 1, Error: r.err.Error()}
	default:
		v.status = Pending
		v.outcome = schedule.Outcome{
			Status: schedule.Waiting, Delay: s.cfg.Schedule.after(t.Attempts + 1), Attempts: t.Attempts + 1, Error: r.err.Error(), State: stateAfter(t, 0, r.unsure),
		}
	}
	if d := v.outcome.Delay; d > 0 { // so that what failed together does not come back together
		v.outcome.Delay += rand.N(d/20 + 1)
	}
	return v
}

// settle writes record and task in one transaction, again where that loses a race.
// A mark that came since the row was read has the task run again: Mark changes the record
// first, too, so one of the two sees the other.
func (s *Syncer) settle(ctx context.Context, t schedule.Task, r *run, v *verdict) error {
	pause := backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		settled := *v
		err := s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			settled = *v // it may begin again
			current, err := s.table.settle(ctx, tx, r, &settled)
			if err != nil {
				return fmt.Errorf("write record: %w", err)
			}
			switch {
			case !current:
				settled.remark(t, r)
			case r.err == nil && r.unsure:
				if err := s.recheckLater(ctx, tx, t); err != nil {
					return err
				}
			}
			return s.schedule.SettleTx(ctx, tx, t, settled.outcome) //nolint:wrapcheck // it says what it did
		})
		passing := failure.IsUnavailable(err) || errors.Is(err, schedule.ErrContended)
		if err == nil || !passing || backoff.Wait(ctx, pause.Delay(n)) != nil {
			*v = settled
			return err
		}
	}
}

// remark is for an entity that was marked since its row was read.
func (v *verdict) remark(t schedule.Task, r *run) {
	v.again, v.status = true, Pending
	if v.outcome.Status != schedule.Waiting { // what failed keeps its wait
		v.outcome = schedule.Outcome{Status: schedule.Waiting, State: stateAfter(t, 0, r.unsure)}
	}
}

// settle writes the record and reports whether no mark has come.
func (t *table) settle(ctx context.Context, tx dbtx.Tx, r *run, v *verdict) (current bool, err error) {
	var (
		set  = "error = ?, updated_at = {now}, touched = touched + 1"
		args = []any{text.Short(v.outcome.Error, 1024)}
		all  = "UPDATE {object} SET "
		mine = " WHERE sync_name = ? AND entity = ?"
	)
	if !v.kept {
		set += ", version = ?, hash = ?, size = ?, etag = ?, synced_at = {now}"
		args = append(args, r.blob.Version, r.blob.Hash, len(r.blob.Body), r.etag)
	}
	only := set + ", status = ?"
	if !v.kept {
		only += ", override = 0"
	}
	args = append(args, string(v.status), t.name, r.entity)
	n, err := t.Exec(ctx, tx, all+only+mine+" AND dirty = ?", append(args, r.rec.Marks)...)
	if err != nil || n > 0 {
		return n > 0, err
	}
	args = append(args[:len(args)-3:len(args)-3], t.name, r.entity)
	n, err = t.Exec(ctx, tx, all+set+mine, args...)
	return n == 0, err // no record is left: nothing to come back for
}

// late is for a run that ends after its claim: what it may have written could be
// older than what its successor wrote, so the entity is marked again.
func (s *Syncer) late(ctx context.Context, r *run) {
	if !r.touched {
		return
	}
	pause := backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := s.markNow(ctx, r.entity)
		if err == nil {
			s.Wake()
			return
		}
		if backoff.Wait(ctx, pause.Delay(n)) != nil {
			s.log.Error("an entity whose upload came late could not be marked again; Reconcile will find it", "entity", r.entity, "error", err)
			return
		}
	}
}

// markNow marks in a transaction of its own.
func (s *Syncer) markNow(ctx context.Context, entities ...string) error {
	return s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error { return s.MarkBatch(ctx, tx, entities...) })
}
