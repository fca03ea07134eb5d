package forwarder

import (
	"cmp"
	"context"
	"slices"
	"time"

	delay "github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/lease"
)

// round reads one batch, publishes it and settles it.
func (l *lane) round(ctx context.Context) pause {
	r := l.relay
	held := r.group.Borrow(l.owns, r.cfg.Lease/3)
	if len(held) == 0 {
		// The manager nudges when shards are gained, not when leases that ran
		// low are renewed.
		return pause{wait: r.cfg.Lease / 8}
	}
	defer func() {
		if r.group.Return(held) {
			r.kickManager()
		}
	}()
	leases := l.enter(held)
	l.settleAnswers(ctx, leases)
	if len(l.holds) >= r.cfg.BatchSize+spareHolds {
		if l.away.count > 0 {
			l.holds.clearAway() // begin again with those that were tried first
			l.forgetDue(time.Now())
			return l.awayPause()
		}
		if !l.forgetDue(time.Now()) {
			return pause{wait: max(l.pending(leases, r.cfg.RetryMax), r.cfg.RetryMin)}
		}
	}
	res, err := l.fetch(ctx, held)
	r.stats.rounds.Add(1)
	if err != nil {
		if ctx.Err() == nil {
			r.health.database(err)
		}
		return pause{wait: l.database.next()}
	}
	r.health.database(nil)
	l.database.reset()
	if len(res.records) == 0 {
		if res.again {
			return pause{}
		}
		if l.away.count > 0 {
			l.holds.clearAway() // all were tried, so begin again
			return l.awayPause()
		}
		return l.idlePause(leases)
	}
	l.found = time.Now()
	l.relay.active.Store(l.found.UnixNano())
	return l.deliver(ctx, res, leases)
}

// pending returns limit, or how long until a message of the shards at hand wants
// to be tried again.
func (l *lane) pending(leases map[int]lease.Held, limit time.Duration) time.Duration {
	shards := make(map[int]bool, len(leases))
	for s := range leases {
		shards[s] = true
	}
	return max(l.holds.next(time.Now(), shards, limit), l.relay.cfg.PollMin)
}

// fetch reads what the next batch is made of.
func (l *lane) fetch(ctx context.Context, held []lease.Held) (readResult, error) {
	now := time.Now()
	sweep := now.Sub(l.swept) >= l.relay.cfg.Sweep
	if sweep {
		l.swept = now
		l.forgetOld(now)
	}
	// A stop lets the query finish: drivers pay for an interrupted one with a
	// connection.
	readCtx, cancel := linger(ctx, l.relay.cfg.StopTimeout)
	defer cancel()
	plan := l.plan(held, sweep)
	res, err := l.read(l.relay.unbroken(readCtx), l.reads(held, now, sweep), plan)
	if err != nil {
		return readResult{}, err
	}
	l.follow(&res, held, now, sweep)
	// Rows of one shard, and so of one key, in the order of their ids.
	slices.SortFunc(res.records, func(a, b *record) int { return cmp.Compare(a.id, b.id) })
	l.aim(res, held, plan.limit)
	l.tell(res, plan)
	if l.away.count == 0 {
		l.adapt(len(held), res)
	}
	return res, nil
}

// forgetOld drops holds whose row was not seen since their time came: somebody
// else has removed it.
func (l *lane) forgetOld(now time.Time) {
	for b, h := range l.holds {
		if !h.inFlight && now.Sub(h.until) > 2*l.relay.cfg.Sweep && l.away.count == 0 {
			l.forget(b, h)
		}
	}
}

// forgetDue makes room where no more holds are allowed, and reports whether it
// could: those whose time has come would stay until their rows are settled, and
// so for ever, since nothing is read while there are so many.
func (l *lane) forgetDue(now time.Time) (some bool) {
	for b, h := range l.holds {
		if !h.inFlight && !h.away && !h.until.After(now) {
			l.forget(b, h)
			some = true
		}
	}
	return some
}

// forget drops a hold, whose row is read again as if it had never been.
func (l *lane) forget(b block, h *hold) {
	if w := l.windows[h.shard]; w != nil {
		w.reset(h.first)
	}
	delete(l.holds, b)
}

// deliver publishes and settles what was read.
func (l *lane) deliver(ctx context.Context, res readResult, leases map[int]lease.Held) pause {
	started := time.Now()
	var s settlement
	good := res.records[:0:0]
	for _, m := range res.records {
		if err := m.decode(); err != nil {
			s.fail(m, err)
			continue
		}
		if header.Expired(m.msg.Metadata, started) {
			s.expired = append(s.expired, m)
			continue
		}
		good = append(good, m)
	}
	errs := l.publish(ctx, good, leases)
	l.judge(ctx, &s, good, errs, started)
	l.settle(ctx, &s, leases)
	switch {
	case l.away.count > 0:
		return l.awayPause()
	case res.full:
		l.resize(time.Since(started))
		return pause{}
	default:
		return l.idlePause(leases)
	}
}

// busyFor is how long after the last message of any lane all of them go on
// looking every PollMin.
const busyFor = time.Second

// idlePause is the wait for new messages: short while some come, growing once
// none do, long while signals tell of them.
func (l *lane) idlePause(leases map[int]lease.Held) pause {
	cfg := &l.relay.cfg
	wait := cfg.PollMax
	switch {
	case l.relay.listening.Load():
	case time.Since(time.Unix(0, l.relay.active.Load())) < busyFor:
		l.idle.reset()
		wait = cfg.PollMin
	default:
		wait = l.idle.next()
	}
	glances := l.calm && len(l.holds) == 0 && len(leases) >= manyShards // or it sees nothing of others
	return pause{wait: l.pending(leases, wait), wakeable: true, shared: glances}
}

// awayPause is the wait for a broker that is away. New messages do not cut it
// short: they would only be tried in vain.
func (l *lane) awayPause() pause {
	return pause{wait: delay.Half(grow(l.away.low, l.away.high, l.away.count-1))}
}

// publish sends records with a deadline before the leases end. The end of ctx
// leaves it StopTimeout.
func (l *lane) publish(ctx context.Context, records []*record, leases map[int]lease.Held) []error {
	if len(records) == 0 {
		return nil
	}
	cfg := l.relay.cfg
	deadline := time.Now().Add(cfg.PublishTimeout)
	fences := make(map[int]int64, len(leases))
	for shard, h := range leases {
		fences[shard] = h.Fence
		if end := h.Until.Add(-cfg.Lease / 10); end.Before(deadline) {
			deadline = end
		}
	}
	ctx, cancel := linger(ctx, cfg.StopTimeout)
	defer cancel()
	ctx, cancel = context.WithDeadline(ctx, deadline)
	defer cancel()
	return l.send(ctx, records, fences)
}

// linger returns a context with the values of ctx that ends d after it.
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

// settleAnswers settles what Publish calls said that had not returned at the
// deadline of their round.
func (l *lane) settleAnswers(ctx context.Context, leases map[int]lease.Held) {
	var records []*record
	var errs []error
	for _, a := range l.takeAnswers() {
		w := l.windows[a.rec.shard]
		if w == nil || w.fence != a.fence {
			continue // another relay has it since
		}
		if _, ok := leases[a.rec.shard]; !ok {
			l.mu.Lock()
			l.answers = append(l.answers, a) // the shard is not at hand in this round
			l.mu.Unlock()
			continue
		}
		records, errs = append(records, a.rec), append(errs, a.err)
	}
	if len(records) > 0 {
		var s settlement
		l.judge(ctx, &s, records, errs, time.Now().Add(-l.relay.cfg.PublishTimeout))
		l.settle(ctx, &s, leases)
	}
}
