package forwarder

import (
	"math"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// trackedLag is how old what was read must be before the floor moves up to it
// where open transactions are known by name. The table has each of them numbered
// before it takes an id, so that none could do; it allows for a server that would
// evaluate the defaults of a row in another order. While some transaction is open
// every read goes through what was removed in this time.
const trackedLag = 20 * time.Millisecond

// floorLag is how far the floors trail.
func (r *Relay) floorLag() time.Duration {
	switch r.outbox.cfg.Dialect {
	case sqldialect.PostgreSQL:
		return min(trackedLag, r.cfg.FloorLag)
	case sqldialect.SQLite:
		return 0
	default:
		return r.cfg.FloorLag
	}
}

// follow moves the windows after a read, and takes out of it the shards where
// rows may have come to light below the floor: they are read from an earlier one
// on.
func (l *lane) follow(res *readResult, held []lease.Held, now time.Time, sweep bool) {
	lag := l.relay.floorLag()
	tracked := l.relay.outbox.cfg.Dialect == sqldialect.PostgreSQL
	if tracked {
		l.dropVoid(res, held, sweep)
	}
	last := make(map[int]int64, len(held))
	late := map[int]int64{} // the lowest of each shard
	for _, m := range res.records {
		last[m.shard] = max(last[m.shard], m.id)
		if sweep && m.id <= l.windows[m.shard].floor && l.holds[m.block()] == nil {
			l.relay.stats.late.Add(1)
			if low := late[m.shard]; low == 0 || m.id < low {
				late[m.shard] = m.id
			}
		}
	}
	// Where all lie below the floor, so may what comes: a database that has lost its
	// latest transactions, in a failover for one, gives their ids again.
	for shard, id := range late {
		if w := l.windows[shard]; last[shard] <= w.floor {
			w.reset(id)
		}
	}
	for _, h := range held {
		w, reached := l.windows[h.Part], int64(math.MaxInt64)
		switch {
		case res.reached > 0:
			reached = res.reached
		case res.cut || res.counts[h.Part] == res.perShard:
			reached = last[h.Part]
		}
		if tracked {
			w.adopt(now, res.seen, reached, lag)
		}
		if id := max(last[h.Part], res.through); id > 0 {
			w.observe(now, id, res.seen, lag)
		}
	}
}

func (l *lane) dropVoid(res *readResult, held []lease.Held, sweep bool) {
	void := map[int]bool{}
	for _, h := range held {
		if w := l.windows[h.Part]; w.void(res.seen) {
			w.restart(res.seen)
			l.relay.stats.rereads.Add(1)
			void[h.Part] = !sweep // which has read from the first row on
			res.void = true
		}
	}
	if len(void) == 0 || sweep {
		return
	}
	res.records = slices.DeleteFunc(res.records, func(m *record) bool { return void[m.shard] })
	for shard := range void {
		res.counts[shard] = 0
	}
	res.full, res.cut, res.again, res.through = true, true, true, 0
}
