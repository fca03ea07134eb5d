package forwarder

import (
	"context"
	"errors"
	"time"

	delay "github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// judge turns the publisher's errors into what to settle and what to hold.
//
// An attempt is counted only for the message that failed first in its block,
// and only where the broker proved to be there: in this round, by acknowledging
// something or through batch.Checker, or between the message's previous try and
// this one, by acknowledging something to any lane. An outage that begins
// between such an acknowledgement and the try can cost one attempt, and no more.
func (l *lane) judge(ctx context.Context, s *settlement, records []*record, errs []error, started time.Time) {
	troubled := map[block]error{}
	var order []*record
	var last error
	acked, final := 0, 0
	for i, m := range records {
		err, b := errs[i], m.block()
		switch _, behind := troubled[b]; {
		case err == nil:
			s.delivered = append(s.delivered, m)
			acked++
		case failure.IsPermanent(err):
			s.fail(m, err)
			final++ // an answer, even where those behind it were not tried
		case behind:
			// It waits behind the one that failed; the hold keeps the floor down.
		case errors.Is(err, errNotTried):
			s.loose = append(s.loose, m)
		default:
			troubled[b], last = err, err
			order = append(order, m)
		}
	}
	if acked > 0 {
		l.relay.health.acknowledged()
	}
	if ctx.Err() != nil && len(order) > 0 {
		return // errors while stopping say nothing; the rows are read again by whoever comes next
	}
	if last == nil && acked+final == 0 && len(s.loose) > 0 {
		last = errors.New("no call of the publisher returned in time")
	}
	if last == nil {
		if acked > 0 {
			l.present()
		}
		return
	}
	if !l.proven(ctx, acked, started) {
		if order = l.absent(order, troubled, last); len(order) == 0 {
			return
		}
	}
	back := l.away.count > 0
	l.present()
	for _, m := range order {
		err := troubled[m.block()]
		if back { // in this round: nobody knows whether before or after the try
			err = failure.Unavailable(err)
		}
		l.refuse(s, m, err)
	}
}

// proven reports whether the broker was there since started.
func (l *lane) proven(ctx context.Context, acked int, started time.Time) bool {
	if acked > 0 || l.relay.health.acknowledgedSince(started) {
		return true
	}
	c, ok := l.relay.pub.(batch.Checker)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, l.relay.cfg.PublishTimeout)
	defer cancel()
	return c.Check(ctx) == nil
}

// present notes that the broker is there.
func (l *lane) present() {
	l.relay.health.broker(nil)
	if l.away.count > 0 {
		l.away.reset()
		l.holds.clearAway()
	}
}

// absent notes that the broker is away and leaves the messages that were tried
// alone until all others were, so that the next look tries others. It returns
// those of order that failed while the broker was there for others.
func (l *lane) absent(order []*record, troubled map[block]error, last error) (refused []*record) {
	now := time.Now()
	for _, m := range order {
		h := l.hold(m)
		if !h.failed.IsZero() && l.relay.health.acknowledgedSince(h.failed) {
			refused = append(refused, m)
			continue
		}
		h.failed = now
		h.inFlight = errors.Is(troubled[m.block()], errInFlight)
		h.away = true
	}
	if len(refused) == 0 {
		l.relay.health.broker(last)
		l.away.next()
	}
	return refused
}

// refuse handles a message that failed although the broker was there.
func (l *lane) refuse(s *settlement, m *record, err error) {
	h := l.hold(m)
	h.failed = time.Now()
	h.inFlight = errors.Is(err, errInFlight)
	wait := delay.Half(grow(l.relay.cfg.RetryMin, l.relay.cfg.RetryMax, h.tries))
	h.tries++
	if counts(err) {
		wait = delay.Half(grow(l.relay.cfg.RetryMin, l.relay.cfg.RetryMax, m.attempts))
		m.attempts++
		if m.attempts >= l.relay.cfg.MaxAttempts {
			l.exhausted(s, m, h, err)
			return
		}
		s.refused = append(s.refused, m)
	}
	if d, ok := failure.Delay(err); ok && d > wait {
		wait = d
	}
	h.until = time.Now().Add(wait)
}

// counts reports whether err is an answer of the broker: neither the absence of
// something nor a deadline of ours is one.
func counts(err error) bool {
	return !failure.IsUnavailable(err) && !errors.Is(err, errInFlight) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// hold returns the hold of m's block, new where there is none.
func (l *lane) hold(m *record) *hold {
	b := m.block()
	h := l.holds[b]
	if h == nil {
		h = &hold{shard: m.shard, first: m.id}
		l.holds[b] = h
	}
	h.first = min(h.first, m.id)
	return h
}
