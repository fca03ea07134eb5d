package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
)

// maxErrorBytes bounds the error text in the history.
const maxErrorBytes = 2000

// The statuses of the history.
const (
	statusDelivered = "delivered"
	statusFailed    = "failed"
	statusExpired   = "expired"
)

// settlement is what one batch came to.
type settlement struct {
	delivered []*record
	failed    []failedRecord // to be set aside
	expired   []*record      // over before they were published
	parked    []parkedRecord // to be tried again much later
	refused   []*record      // one more attempt each
	loose     []*record      // nothing to settle, to be read again
}

type failedRecord struct {
	*record
	reason string
}

func (s *settlement) fail(m *record, err error) {
	s.failed = append(s.failed, failedRecord{m, errorText(err)})
}

func (s *settlement) empty() bool { return s.size() == 0 }

func (s *settlement) size() int {
	return len(s.delivered) + len(s.failed) + len(s.expired) + len(s.parked) + len(s.refused)
}

// without drops the records of shards that have another owner by now.
func (s *settlement) without(stale map[int]bool) (out settlement, dropped int) {
	for _, m := range s.delivered {
		if !stale[m.shard] {
			out.delivered = append(out.delivered, m)
		}
	}
	for _, m := range s.failed {
		if !stale[m.shard] {
			out.failed = append(out.failed, m)
		}
	}
	for _, m := range s.expired {
		if !stale[m.shard] {
			out.expired = append(out.expired, m)
		}
	}
	for _, m := range s.parked {
		if !stale[m.shard] {
			out.parked = append(out.parked, m)
		}
	}
	for _, m := range s.refused {
		if !stale[m.shard] {
			out.refused = append(out.refused, m)
		}
	}
	return out, s.size() - out.size()
}

// settle writes s in one short transaction, trying for as long as the leases
// last: what the broker has acknowledged must not be sent again only because
// the database was away for a moment.
func (l *lane) settle(ctx context.Context, s *settlement, leases map[int]lease.Held) {
	for _, m := range s.loose {
		l.windows[m.shard].reset(m.id)
	}
	if s.empty() {
		return
	}
	r := l.relay
	ctx, cancel := linger(ctx, r.cfg.StopTimeout)
	defer cancel()
	held := l.involved(s, leases)
	retry := backoff{low: r.cfg.RetryMin / 10, high: r.cfg.RetryMax}
	for {
		stale, err := l.trySettle(ctx, s, held)
		if err == nil {
			r.health.database(nil)
			l.settled(s, stale)
			return
		}
		if ctx.Err() != nil || l.ended(held) {
			r.outbox.cfg.Logger.Warn("outbox relay could not settle a batch; it will be repeated",
				"messages", len(s.delivered), "error", err)
			l.unsettled(s)
			return
		}
		if !r.outbox.cfg.Dialect.IsContention(err) {
			r.health.database(err)
		}
		wait(ctx, retry.next(), nil)
	}
}

// involved returns the leases that s depends on.
func (l *lane) involved(s *settlement, leases map[int]lease.Held) []lease.Held {
	seen := map[int]bool{}
	var held []lease.Held
	add := func(m *record) {
		if !seen[m.shard] {
			seen[m.shard] = true
			held = append(held, leases[m.shard])
		}
	}
	for _, m := range s.delivered {
		add(m)
	}
	for _, m := range s.failed {
		add(m.record)
	}
	for _, m := range s.parked {
		add(m.record)
	}
	for _, list := range [][]*record{s.expired, s.refused} {
		for _, m := range list {
			add(m)
		}
	}
	return held
}

// ended reports whether all leases have ended by the local clock.
func (l *lane) ended(held []lease.Held) bool {
	now := time.Now()
	for _, h := range held {
		if l.relay.group.Until(h).After(now) {
			return false
		}
	}
	return true
}

// settled updates what the lane knows after the transaction has committed.
func (l *lane) settled(s *settlement, stale []lease.Held) {
	gone := map[int]bool{}
	for _, h := range stale {
		gone[h.Part] = true
		l.relay.group.Drop(h)
		l.holds.forget(h.Part)
	}
	done, dropped := s.without(gone)
	stats := &l.relay.stats
	stats.stale.Add(int64(dropped))
	stats.delivered.Add(int64(len(done.delivered)))
	stats.failed.Add(int64(len(done.failed)))
	stats.retried.Add(int64(len(done.refused)))
	stats.parked.Add(int64(len(done.parked)))
	stats.expired.Add(int64(len(done.expired)))
	if dropped > 0 {
		l.relay.outbox.cfg.Logger.Warn("outbox relay lost shards while it published; it settled nothing of them",
			"shards", len(stale), "messages", dropped)
	}
	for _, m := range done.delivered {
		l.resolve(m)
	}
	for _, m := range done.expired {
		l.resolve(m)
	}
	if n := len(done.expired); n > 0 {
		l.relay.outbox.cfg.Logger.Info("outbox messages expired before they were published", "messages", n)
	}
	for _, m := range done.parked {
		l.resolve(m.record)
		l.relay.outbox.cfg.Logger.Warn("outbox message parked",
			"id", m.id, "topic", m.topic, "uuid", m.uuid, "attempts", m.attempts, "again_in", m.delay, "error", m.reason)
	}
	for _, m := range done.failed {
		l.resolve(m.record)
		l.relay.outbox.cfg.Logger.Error("outbox message set aside",
			"id", m.id, "topic", m.topic, "uuid", m.uuid, "attempts", m.attempts, "error", m.reason)
	}
}

// resolve ends the hold of m's block. Rows behind m were left out of reads that
// moved the floor, so they are read again.
func (l *lane) resolve(m *record) {
	if h := l.holds[m.block()]; h != nil {
		l.windows[m.shard].reset(h.first)
		delete(l.holds, m.block())
	}
}

// unsettled makes sure that everything is read again.
func (l *lane) unsettled(s *settlement) {
	for _, m := range s.delivered {
		l.reread(m)
	}
	for _, m := range s.failed {
		l.reread(m.record)
	}
	for _, m := range s.parked {
		l.reread(m.record)
	}
	for _, list := range [][]*record{s.expired, s.refused} {
		for _, m := range list {
			l.reread(m)
		}
	}
}

// reread has m read again. Where its call of the publisher had come back late, no
// other answer will end the hold, which outlives a lease that nobody else takes.
func (l *lane) reread(m *record) {
	l.windows[m.shard].reset(m.id)
	if h := l.holds[m.block()]; h != nil {
		h.inFlight = false
	}
}

// trySettle writes s once more where an id of it is in the history already.
func (l *lane) trySettle(ctx context.Context, s *settlement, held []lease.Held) (stale []lease.Held, err error) {
	stale, err = l.settleOnce(ctx, s, held, false)
	if l.relay.outbox.cfg.Dialect.IsDuplicate(err) {
		return l.settleOnce(ctx, s, held, true)
	}
	return stale, err
}

func (l *lane) settleOnce(ctx context.Context, s *settlement, held []lease.Held, overwrite bool) (stale []lease.Held, err error) {
	o := l.relay.outbox
	ctx, cancel := context.WithTimeout(ctx, l.relay.cfg.Lease)
	defer cancel()
	ctx = l.relay.unbroken(ctx)
	tx, err := o.db.BeginTx(ctx, o.cfg.Dialect.TxOptions())
	if err != nil {
		return nil, fmt.Errorf("begin settling: %w", err)
	}
	defer func() {
		if rbErr := tx.Rollback(); rbErr != nil && !errors.Is(rbErr, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, rbErr)
		}
	}()
	if stale, err = l.relay.group.Verify(ctx, tx, held); err != nil {
		return nil, err
	}
	gone := map[int]bool{}
	for _, h := range stale {
		gone[h.Part] = true
	}
	valid, _ := s.without(gone)
	w := settleWriter{
		ctx: ctx, tx: tx, dialect: o.cfg.Dialect,
		outbox:  o.names.Table(o.cfg.Dialect, schema.Outbox),
		history: o.names.Table(o.cfg.Dialect, schema.OutboxHistory), overwrite: overwrite,
	}
	if err := w.write(valid, !l.relay.cfg.NoHistory); err != nil {
		return nil, err
	}
	if err := l.park(w, tx, valid.parked); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit settling: %w", err)
	}
	return stale, nil
}
