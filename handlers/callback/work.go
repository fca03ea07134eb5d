package callback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/text"
)

// soon is when a call comes back whose row could not be read or written.
const soon = time.Second

// work drives one call: it is sent, asked for, or ended at its deadline.
func (c *Caller) work(ctx context.Context, t schedule.Task) schedule.Outcome {
	v, err := c.table.get(ctx, nil, t.Key)
	switch {
	case errors.Is(err, ErrNotFound): // its retention is over
		return done(t)
	case err != nil:
		return schedule.Outcome{Status: schedule.Waiting, Delay: soon, Attempts: t.Attempts, Error: err.Error()}
	case v.Status.Final():
		return done(t)
	}
	left := v.Deadline.Sub(v.now)
	if v.Status == Waiting && left > 0 {
		return c.send(ctx, t, v, left)
	}
	return c.ask(ctx, t, v, left)
}

func done(t schedule.Task) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Done, Attempts: t.Attempts}
}

// later has the task come back after d, or at the deadline where that is sooner.
func later(t schedule.Task, d, left time.Duration, reason error) schedule.Outcome {
	o := schedule.Outcome{Status: schedule.Waiting, Delay: max(min(d, left), 0), Attempts: t.Attempts, Spent: true}
	if reason != nil {
		o.Error = text.Short(reason.Error(), maxError)
	}
	return o
}

// cutOff gives the task back as it was: the process is stopping, or the claim is
// another's by now.
func cutOff(t schedule.Task) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Attempts: t.Attempts, Error: t.Error}
}

// send makes the request. What is recorded is recorded after it was true: a crash
// before that has the request made again.
func (c *Caller) send(ctx context.Context, t schedule.Task, v row, left time.Duration) schedule.Outcome {
	resp, err := c.request(ctx, v)
	if ctx.Err() != nil && err != nil {
		return cutOff(t)
	}
	var r Result
	if err == nil {
		if r, err = c.cfg.ReadSend(resp); err == nil {
			err = c.checkRead(r)
		}
	}
	if err != nil {
		wait := max(c.sendDelay(v.Sends), resp.retryAfter(v.now))
		return c.missed(ctx, t, v, KindSendFailed, later(t, wait, left, err), err)
	}
	kind, err := c.stored(ctx, func(ctx context.Context) (Kind, error) { return c.report(ctx, v.Number, BySend, r) })
	switch {
	case err != nil: // sent, and not recorded: it is sent again
		return later(t, soon, left, err)
	case kind != KindSent:
		return done(t)
	}
	return later(t, c.queryDelay(), left, nil)
}

// ask makes a query, and ends the call where its deadline is over.
func (c *Caller) ask(ctx context.Context, t schedule.Task, v row, left time.Duration) schedule.Outcome {
	next := later(t, c.queryDelay(), left, nil)
	// What was never accepted may have arrived all the same.
	if c.asks() && (v.Status == Sent || v.Sends > 0) {
		o, ended := c.query(ctx, t, v, left, next)
		if ended {
			return o
		}
		next = o
		v.Queries++
	}
	if left > 0 || ctx.Err() != nil {
		return next
	}
	_, err := c.stored(ctx, func(ctx context.Context) (Kind, error) {
		return c.report(ctx, v.Number, ByDeadline, Result{Status: TimedOut, Code: "deadline", Reason: overdue(v, next.Error)})
	})
	if err != nil {
		return later(t, soon, soon, err)
	}
	return done(t)
}

// query asks for the result. It answers true where nothing is left to do, or the
// task must come back as it says whatever the deadline.
func (c *Caller) query(ctx context.Context, t schedule.Task, v row, left time.Duration, next schedule.Outcome) (schedule.Outcome, bool) {
	resp, err := c.question(ctx, v)
	if ctx.Err() != nil && err != nil {
		return cutOff(t), true
	}
	var r Result
	if err == nil {
		if r, err = c.cfg.ReadQuery(resp); err == nil {
			err = c.checkRead(r)
		}
	}
	switch {
	case errors.Is(err, ErrUnknown) && left > 0:
		return c.missed(ctx, t, v, KindResent, later(t, 0, left, err), err), true
	case err != nil:
		next.Delay = min(max(next.Delay, resp.retryAfter(v.now)), max(left, 0))
		next.Error = text.Short(err.Error(), maxError)
		return c.missed(ctx, t, v, KindQueryFailed, next, err), false
	}
	kind, err := c.stored(ctx, func(ctx context.Context) (Kind, error) { return c.report(ctx, v.Number, ByQuery, r) })
	if err != nil {
		return later(t, soon, soon, err), true // the result was there: it is asked for again, also after the deadline
	}
	return pick(kind == KindNoted, next, done(t)), kind != KindNoted
}

func pick(open bool, next, end schedule.Outcome) schedule.Outcome {
	if open {
		return next
	}
	return end
}

// missed records a request or query without a result. Where that fails, the request counts
// as not made.
func (c *Caller) missed(ctx context.Context, t schedule.Task, v row, kind Kind, o schedule.Outcome, reason error) schedule.Outcome {
	count, source, status := "sends = sends + 1", BySend, ""
	switch kind {
	case KindQueryFailed:
		count, source = "queries = queries + 1", ByQuery
	case KindResent:
		count, source, status = "queries = queries + 1", ByQuery, ", status = CASE WHEN ended_at = 0 THEN '"+string(Waiting)+"' ELSE status END"
	default:
	}
	why := text.Short(reason.Error(), maxError)
	_, err := c.stored(ctx, func(ctx context.Context) (Kind, error) {
		return kind, c.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			_, err := c.table.Exec(ctx, tx, "UPDATE {calls} SET "+count+status+", error = ?, history = history + 1, updated_at = {now} "+
				"WHERE service = ? AND number = ?", why, c.table.service, v.Number)
			if err != nil {
				return err
			}
			v.history++
			return c.table.noteSome(ctx, tx, v, Entry{Kind: kind, Source: source, Detail: why})
		})
	})
	if err != nil {
		o.Delay = max(o.Delay, soon)
		return o
	}
	o.Attempts = t.Attempts + 1
	c.tell(Fact{Kind: kind, Number: v.Number, Source: source, Err: reason})
	return o
}

func (c *Caller) sendDelay(sends int64) time.Duration {
	return c.cfg.SendDelays[min(sends, int64(len(c.cfg.SendDelays)-1))]
}

// queryDelay draws the time until the next query.
func (c *Caller) queryDelay() time.Duration {
	d := c.cfg.QueryEvery
	if c.cfg.QueryJitter == NoJitter {
		return d
	}
	return d + time.Duration(c.cfg.QueryJitter*rand.Float64()*float64(d))
}

func (c *Caller) checkRead(r Result) error {
	if r.Status != Pending && r.Status != Succeeded && r.Status != Failed {
		return fmt.Errorf("answer was read as %q, which is not pending, succeeded or failed", string(r.Status))
	}
	return nil
}

func overdue(v row, last string) string {
	s := fmt.Sprintf("no result within %v: requests %d, queries %d", v.Deadline.Sub(v.CreatedAt).Round(time.Millisecond), v.Sends, v.Queries)
	if last == "" {
		last = v.Error
	}
	if last != "" {
		s += ", the last said: " + last
	}
	return s
}
