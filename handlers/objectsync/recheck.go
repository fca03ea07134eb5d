package objectsync

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// A write whose answer was lost can arrive later: that of a process that was killed, of a
// request that timed out. Where the store is Conditional it is refused, unless the
// object was removed meanwhile and the write wanted none to be there; and one that is
// not takes any. Nobody would know of it. So an upload that comes after such a write has the entity
// marked once more, Config.Recheck later.

// state is what a task of an entity carries from run to run.
type state struct {
	excused int   // runs that met an outage, in a row
	fence   int64 // of the last settlement
	unsure  bool  // as in run
}

// stateOf reads the state of a claimed task. Where a claim came in between that was not settled, or
// was given back in the middle of a run, its number is missing.
func stateOf(t schedule.Task) (st state) {
	_, _ = fmt.Sscanf(string(t.State), "%d %d %t", &st.excused, &st.fence, &st.unsure) // a new task has none
	st.unsure = st.unsure || t.Fence != st.fence+1
	return st
}

// stateAfter is the state that goes with the settlement of t, which has the next number.
func stateAfter(t schedule.Task, excused int, unsure bool) []byte {
	return fmt.Appendf(nil, "%d %d %t", excused, t.Fence+1, unsure)
}

// recheckTarget is the target of the tasks that mark once more; no Name has a "/".
func (s *Syncer) recheckTarget() string { return s.cfg.Name + "/recheck" }

func (s *Syncer) recheckLater(ctx context.Context, x dbtx.Executor, t schedule.Task) error {
	_, err := s.schedule.AddTx(ctx, x, schedule.Spec{
		Queue: Queue, Target: s.recheckTarget(), Key: fmt.Sprintf("%d/%d", t.ID, t.Fence), Payload: []byte(t.Key), Delay: s.cfg.Recheck,
	})
	return err //nolint:wrapcheck // it says what it did
}

// recheck marks the entity, and ends the task in the same transaction.
func (s *Syncer) recheck(ctx context.Context, t schedule.Task) schedule.Outcome {
	err := s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		if err := s.Mark(ctx, tx, string(t.Payload)); err != nil && !errors.Is(err, ErrKey) { // the suffix may be another one now
			return err
		}
		return s.schedule.SettleTx(ctx, tx, t, schedule.Outcome{Status: schedule.Done, Attempts: 1}) //nolint:wrapcheck // it says what it did
	})
	if err != nil {
		return schedule.Outcome{Status: schedule.Waiting, Delay: s.cfg.Schedule.Initial, Attempts: t.Attempts, Error: err.Error()}
	}
	s.Wake()
	return schedule.Outcome{Settled: true}
}
