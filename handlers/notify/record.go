package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// errDamaged says that a row is not what this program writes.
var errDamaged = errors.New("target is damaged")

func (n *Notifier) load(ctx context.Context, j *job) error {
	const query = "SELECT m.request, m.content_type, m.payload, m.status, m.round, m.attempts, m.base, m.since_at, m.next_at, m.last_error, {now}, " +
		"t.url, t.secrets, t.options, t.status, t.throttled_until FROM {message} m LEFT JOIN {target} t ON t.name = m.target WHERE m.uid = ?"
	_, err := one(ctx, n, query, []any{j.uid}, func(row dbtx.Row) (struct{}, error) {
		var (
			since, next, now          int64
			url, secrets, how, status sql.NullString
			throttled                 sql.NullInt64
		)
		err := row.Scan(&j.request, &j.contentType, &j.payload, &j.status, &j.rowRound, &j.attempts, &j.base, &since, &next, &j.lastError, &now,
			&url, &secrets, &how, &status, &throttled)
		if err != nil {
			return struct{}{}, err
		}
		j.since, j.nextAt, j.now, j.known = sqltable.Time(since), sqltable.Time(next), sqltable.Time(now), url.Valid
		if !url.Valid {
			return struct{}{}, nil
		}
		list, o, err := decode(secrets.String, how.String)
		if err != nil {
			return struct{}{}, errDamaged
		}
		j.target = stored{url.String, list, o, status.String == "disabled", sqltable.Time(throttled.Int64)}
		return struct{}{}, nil
	})
	return err
}

// hold puts a notification aside whose target is disabled or not there. Where that
// has changed meanwhile, keepHouse releases it.
func (n *Notifier) hold(ctx context.Context, j *job) schedule.Outcome {
	rows, err := n.db.Exec(ctx, n.db.DB, "UPDATE {message} SET status = 'held', next_at = 0, updated_at = {now} WHERE uid = ? AND round = ? AND status = 'waiting' "+
		"AND NOT EXISTS (SELECT 1 FROM {target} WHERE name = ? AND status = 'enabled')", j.uid, j.round, j.task.Target)
	switch {
	case err != nil && ctx.Err() != nil:
		return released(j.task)
	case err != nil:
		n.cfg.Logger.Warn("notification could not be held", "target", j.task.Target, "error", err)
		return later(j.task, databaseAway)
	case rows == 0: // enabled since
		return later(j.task, 0)
	}
	return schedule.Outcome{Status: schedule.Cancelled, Attempts: j.task.Attempts, Error: "its target is disabled"}
}

// next is what follows from a result.
type next struct {
	status   Status
	attempts int // in all, with this one
	base     int // of those, how many do not count for the schedule
	wait     time.Duration
	throttle time.Duration // of the target; 0: none
}

func (n *Notifier) decide(j *job, r result) next {
	d := next{status: Waiting, attempts: j.attempts + 1, base: j.base}
	switch {
	case r.delivered:
		d.status = Delivered
		return d
	case r.gone():
		d.status, d.base = Held, j.base+1
		return d
	}
	now, age := n.clock(), time.Duration(0)
	if !j.since.IsZero() {
		age = now.Sub(j.since)
	}
	made := d.attempts - d.base
	wait, more := n.cfg.Schedule.Next(made, age, -1, now)
	asked := min(r.asked, n.cfg.MaxRetryAfter)
	if more && asked > wait {
		wait, more = n.cfg.Schedule.Next(made, age, asked, now)
	}
	if r.throttles() {
		d.throttle = max(min(wait, n.cfg.MaxThrottle), asked)
	}
	d.wait = wait
	if !more {
		d.status = Stopped
	}
	return d
}

// settle records a result, and tells what became of the task.
func (n *Notifier) settle(ctx context.Context, j *job, r result) schedule.Outcome {
	d := n.decide(j, r)
	current, err := n.persist(ctx, j, r, d)
	switch {
	case err != nil:
		// Nobody knows of the attempt: it is made again.
		n.cfg.Logger.Warn("attempt could not be recorded; it does not count", "target", j.task.Target, "status", r.status, "error", err)
		return released(j.task)
	case !current: // or the answer to a commit was lost; the row knows
		o := later(j.task, 0)
		o.Attempts = d.attempts
		return o
	}
	o := schedule.Outcome{Attempts: d.attempts, Error: r.err}
	switch d.status {
	case Delivered, Confirmed:
		o.Status = schedule.Done
	case Held:
		o.Status = schedule.Cancelled
		n.tell(j, NameDisabled, "A partner's endpoint is gone; what is addressed to it is held until the target is enabled again.", r.err)
	case Stopped:
		o.Status = schedule.Dead
		j.lastError = r.err
		n.tellExhausted(j)
	case Waiting:
		o.Status, o.Delay, o.Spent = schedule.Waiting, d.wait, true
	}
	return o
}

// stopGrace is how long recording may go on after Run was told to stop.
const stopGrace = 5 * time.Second

// persist records a result, trying for as long as a lease lasts.
func (n *Notifier) persist(ctx context.Context, j *job, r result, d next) (current bool, err error) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Lease)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = backoff.Wait(own, stopGrace) // its end is what matters
		cancel()
	})()
	pause := backoff.Policy{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: true}
	for try := 1; ; try++ {
		err = n.db.InTx(own, func(ctx context.Context, tx dbtx.Tx) error {
			current, err = n.write(ctx, tx, j, r, d)
			return err
		})
		if err == nil || !failure.IsUnavailable(err) && !n.db.Dialect.IsContention(err) || backoff.Wait(own, pause.Delay(try)) != nil {
			return current, err
		}
	}
}

// write is the transaction of persist: target, message, attempt, in one order for everybody.
// current is false where the notification has moved on since it was loaded.
func (n *Notifier) write(ctx context.Context, tx dbtx.Tx, j *job, r result, d next) (current bool, err error) {
	switch {
	case d.status == Held:
		_, err = n.db.Exec(ctx, tx, "UPDATE {target} SET status = 'disabled', reason = ?, updated_at = {now} WHERE name = ? AND status = 'enabled'",
			"it answered 410 Gone", j.task.Target)
	case d.throttle > 0:
		until := d.throttle.Microseconds()
		_, err = n.db.Exec(ctx, tx, "UPDATE {target} SET throttled_until = {now} + {number}, updated_at = {now} WHERE name = ? AND throttled_until < {now} + {number}",
			until, j.task.Target, until)
	}
	if err != nil {
		return false, fmt.Errorf("change target: %w", err)
	}
	rows, err := n.update(ctx, tx, j, r, d)
	if err != nil {
		return false, fmt.Errorf("record attempt: %w", err)
	}
	outcome := "failed"
	if r.delivered {
		outcome = "delivered"
	}
	_, err = n.db.Exec(ctx, tx, "INSERT INTO {attempt} (uid, round, number, began_at, duration, result, status, response, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		j.uid, j.round, d.attempts, sqltable.Micros(r.at), r.duration.Microseconds(), outcome, r.status, r.response, r.err)
	if err != nil {
		return false, fmt.Errorf("record attempt: %w", err)
	}
	return rows > 0, nil
}

func (n *Notifier) update(ctx context.Context, tx dbtx.Tx, j *job, r result, d next) (int64, error) {
	if d.status == Delivered {
		// Whoever brings this, and however late: the partner has it.
		return n.db.Exec(ctx, tx, "UPDATE {message} SET status = 'delivered', attempts = CASE WHEN attempts < ? THEN ? ELSE attempts END, next_at = 0, "+
			"last_status = ?, last_error = '', updated_at = {now}, finished_at = {now} WHERE uid = ? AND status IN ('waiting', 'held', 'stopped')",
			d.attempts, d.attempts, r.status, j.uid)
	}
	since := sqltable.Micros(j.since)
	if since == 0 {
		since = sqltable.Micros(n.clock())
	}
	set := "UPDATE {message} SET status = ?, attempts = ?, base = ?, since_at = ?, last_status = ?, last_error = ?, updated_at = {now}, "
	args := []any{string(d.status), d.attempts, d.base, since, r.status, r.err}
	switch d.status {
	case Waiting:
		set, args = set+"next_at = {now} + {number}", append(args, d.wait.Microseconds())
	case Stopped:
		set += "next_at = 0, finished_at = {now}"
	default:
		set += "next_at = 0"
	}
	args = append(args, j.uid, j.round, j.attempts)
	return n.db.Exec(ctx, tx, set+" WHERE uid = ? AND round = ? AND attempts = ? AND status = 'waiting'", args...)
}
