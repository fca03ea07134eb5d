package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
)

// moveBatch is how many due messages enter the outbox in one transaction.
const moveBatch = 200

// mover lets messages enter the outbox whose time has come. The relay that owns
// shard 0 does it, alone: two at once would break the order of the due times.
// Each task is settled in the transaction that inserts its row, under the fencing
// number of its claim, so that no message enters twice.
type mover struct{ relay *Relay }

func (r *Relay) moveLoop(ctx context.Context) {
	m := mover{r}
	retry := backoff{low: r.cfg.RetryMin, high: r.cfg.RetryMax}
	// Where signals let PollMax be long, none tells of a time that has come.
	every := min(2*r.cfg.PollMax, time.Second)
	pause := every
	for wait(ctx, pause, nil) {
		pause = every
		if !r.group.Owns(0) {
			continue
		}
		n, err := m.move(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if pause = retry.next(); !r.outbox.cfg.Dialect.IsContention(err) {
				r.outbox.cfg.Logger.Warn("outbox relay could not let due messages enter; it tries again", "error", err)
			}
			continue
		case n == moveBatch:
			pause = 0
		}
		retry.reset()
	}
}

// move lets one batch in, and returns how many were due.
func (m mover) move(ctx context.Context) (due int, err error) {
	r := m.relay
	ctx, cancel := linger(ctx, r.cfg.StopTimeout)
	defer cancel()
	ctx = r.unbroken(ctx)
	tasks, err := r.outbox.tasks.Claim(ctx, schedule.ClaimRequest{Queue: publishQueue, Limit: moveBatch, Lease: r.cfg.Lease})
	if err != nil || len(tasks) == 0 {
		return 0, err
	}
	return len(tasks), m.let(ctx, tasks)
}

// let has claimed tasks enter, and gives back what it cannot let in.
func (m mover) let(ctx context.Context, tasks []schedule.Task) error {
	r := m.relay
	slices.SortStableFunc(tasks, func(a, b schedule.Task) int { return a.Due.Compare(b.Due) })
	end := time.Now().Add(r.cfg.Lease / 2)
	retry := backoff{low: r.cfg.RetryMin / 10, high: r.cfg.RetryMax}
	for len(tasks) > 0 {
		var stale *staleError
		err := m.once(ctx, tasks)
		switch {
		case err == nil:
			r.stats.moved.Add(int64(len(tasks)))
			r.outbox.Wake()
			return nil
		case errors.As(err, &stale): // cancelled, or another's by now
			tasks = slices.Delete(tasks, stale.index, stale.index+1)
		case ctx.Err() != nil || time.Now().After(end):
			m.release(ctx, tasks)
			return err
		default:
			wait(ctx, retry.next(), nil)
		}
	}
	return nil
}

// staleError says which task of a batch cannot be settled any more.
type staleError struct{ index int }

func (*staleError) Error() string { return schedule.ErrStale.Error() }

// once moves tasks in one transaction.
func (m mover) once(ctx context.Context, tasks []schedule.Task) (err error) {
	o := m.relay.outbox
	tx, err := o.db.BeginTx(ctx, o.cfg.Dialect.TxOptions())
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rbErr := tx.Rollback(); rbErr != nil && !errors.Is(rbErr, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, rbErr)
		}
	}()
	rows := make([]row, 0, len(tasks))
	for i, t := range tasks {
		out := schedule.Outcome{Status: schedule.Done, Attempts: t.Attempts, Error: t.Error}
		if in, err := unshelve(t); err != nil {
			out.Status, out.Error = schedule.Dead, err.Error()
		} else {
			rows = append(rows, in)
		}
		if err := o.tasks.SettleTx(ctx, tx, t, out); errors.Is(err, schedule.ErrStale) {
			return &staleError{i}
		} else if err != nil {
			return err
		}
	}
	for len(rows) > 0 {
		n := chunk(rows, o.cfg.Dialect.InsertRows())
		if err := o.enter(ctx, tx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// enter inserts rows that bring attempts with them.
func (o *Outbox) enter(ctx context.Context, tx *sql.Tx, rows []row) error {
	values := "(?, ?, ?, ?, ?, ?, ?, ?, ?, " + o.cfg.Dialect.Now() + ")"
	query := "INSERT INTO " + o.names.Table(o.cfg.Dialect, schema.Outbox) +
		" (shard, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts, created_at) VALUES " +
		values + strings.Repeat(", "+values, len(rows)-1)
	args := make([]any, 0, 9*len(rows))
	for i := range rows {
		args = append(append(args, rows[i].args()...), rows[i].attempts)
	}
	if _, err := tx.ExecContext(ctx, o.cfg.Dialect.Bind(query), args...); err != nil {
		return fmt.Errorf("insert due messages: %w", err)
	}
	return nil
}

// release gives tasks back as they were; what cannot be given back is free when
// its lease ends.
func (m mover) release(ctx context.Context, tasks []schedule.Task) {
	for _, t := range tasks {
		if err := m.relay.outbox.tasks.Release(ctx, t); err != nil && !errors.Is(err, schedule.ErrStale) {
			return
		}
	}
}
