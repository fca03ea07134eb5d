package forwarder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// takeoverRun is the state of one Run.
type takeoverRun struct {
	*Takeover
	at          position
	done        map[position]bool // acknowledged, behind one that was not
	attempts    map[position]int  // refusals by a broker that was there
	ahead       *readAhead
	idle, retry backoff

	// MySQL: up to safe, every insert has ended; highest was seen at seenAt.
	safe, highest int64
	seenAt        time.Time
}

// result is what became of one row of a round.
type result struct {
	row foreign
	err error // nil: acknowledged
	ask bool  // not settled: ask again
}

// round relays one batch and says how long to wait then.
func (r *takeoverRun) round(ctx context.Context) (time.Duration, error) {
	cfg := r.cfg.Relay
	rows, err := r.next(ctx)
	if err != nil {
		return 0, err
	}
	full := len(rows) == cfg.BatchSize
	if r.tables.d == sqldialect.MySQL {
		if rows, err = r.beforeGap(ctx, rows); err != nil {
			return 0, err
		}
	}
	r.health.database(nil)
	if len(rows) == 0 {
		return r.idle.next(), nil
	}
	r.idle.reset()
	if full && len(rows) == cfg.BatchSize {
		r.ahead = r.readAhead(ctx, rows[len(rows)-1].at)
	}
	results := r.publish(ctx, rows)
	n := 0
	for n < len(results) && !results[n].ask {
		n++
	}
	if n > 0 {
		if err := r.settle(ctx, results[:n]); err != nil {
			return 0, err
		}
	}
	switch {
	case n < len(results):
		return r.retry.next(), nil
	case full:
		r.retry.reset()
		return 0, nil
	}
	r.retry.reset()
	return r.idle.next(), nil
}

// beforeGap returns the rows up to the first gap in the offsets that may still
// be filled. A transaction takes its offsets before it inserts and commits
// later, so a gap is a rollback only once it is older than GapWait and nobody
// holds a row in it.
func (r *takeoverRun) beforeGap(ctx context.Context, rows []foreign) ([]foreign, error) {
	n, last := 0, r.at.offset
	for n < len(rows) && (rows[n].at.offset == last+1 || rows[n].at.offset <= r.safe) {
		last = rows[n].at.offset
		n++
	}
	if n > 0 || len(rows) == 0 {
		return rows[:n], nil
	}
	now := time.Now()
	switch upTo := min(r.highest, rows[len(rows)-1].at.offset); {
	case r.seenAt.IsZero() || (upTo < rows[0].at.offset && now.Sub(r.seenAt) >= r.cfg.GapWait):
		h, err := r.tables.highest(ctx, r.outbox.db)
		if err != nil {
			return nil, fmt.Errorf("read their highest offset: %w", err)
		}
		r.highest, r.seenAt = h, now
	case upTo >= rows[0].at.offset && now.Sub(r.seenAt) >= r.cfg.GapWait:
		if err := r.tables.resolve(ctx, r.outbox.db, r.at.offset, upTo); err != nil {
			if r.tables.d.IsContention(err) {
				return nil, nil // somebody still holds a row in it
			}
			return nil, fmt.Errorf("look into a gap of their offsets: %w", err)
		}
		r.safe = upTo // read again: what was held may have committed
	}
	return nil, nil
}

// publish publishes rows in order. Nothing is in flight when it returns.
func (r *takeoverRun) publish(ctx context.Context, rows []foreign) []result {
	results := make([]result, len(rows))
	var out []batch.Outgoing
	var index []int
	ctx, cancel := linger(ctx, r.cfg.Relay.StopTimeout)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, r.cfg.Relay.PublishTimeout)
	defer cancel()
	for i, row := range rows {
		results[i].row = row
		if r.done[row.at] {
			continue
		}
		if row.msg == nil {
			results[i].err = errEnvelope
			continue
		}
		row.msg.SetContext(ctx)
		out, index = append(out, batch.Outgoing{Topic: row.topic, Message: row.msg}), append(index, i)
	}
	if len(out) == 0 {
		return results
	}
	errs := r.send(ctx, out)
	r.judge(ctx, results, index, errs)
	return results
}

func (r *takeoverRun) send(ctx context.Context, out []batch.Outgoing) []error {
	errs := make([]error, len(out))
	if p, ok := r.pub.(batch.Publisher); ok {
		switch got := publishBatch(ctx, p, out); {
		case got == nil:
		case len(got) == len(out):
			errs = got
		default:
			for i := range errs {
				errs[i] = fmt.Errorf("publisher returned %d results for %d messages", len(got), len(out))
			}
		}
		return errs
	}
	stopped := false
	for i, m := range out {
		if stopped || ctx.Err() != nil {
			errs[i] = errNotTried
			continue
		}
		errs[i] = publishOne(r.pub, m.Topic, m.Message)
		stopped = errs[i] != nil && !failure.IsPermanent(errs[i])
	}
	return errs
}

// judge decides which rows are settled, by the rules of the relay.
func (r *takeoverRun) judge(ctx context.Context, results []result, index []int, errs []error) {
	acked := 0
	var first error
	firstAt := -1
	for i, err := range errs {
		at := results[index[i]].row.at
		switch {
		case err == nil:
			acked++
			r.done[at] = true
		case failure.IsPermanent(err):
			results[index[i]].err = err
		default:
			results[index[i]].ask = true
			if first == nil && !errors.Is(err, errNotTried) {
				first, firstAt = err, index[i]
			}
		}
	}
	if first == nil {
		if acked > 0 {
			r.health.broker(nil)
		}
		return
	}
	present := acked > 0
	if c, ok := r.pub.(batch.Checker); ok && !present {
		present = c.Check(ctx) == nil
	}
	if !present {
		r.health.broker(first)
		return
	}
	r.health.broker(nil)
	if !counts(first) {
		return
	}
	res := &results[firstAt]
	r.attempts[res.row.at]++
	if r.attempts[res.row.at] >= r.cfg.Relay.MaxAttempts {
		res.ask, res.err = false, first
	}
}
