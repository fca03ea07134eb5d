package forwarder

import (
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// A lane that has caught up reads with a glance: the first rows of the table,
// whose ever they are, of which it picks its own. One short walk along the
// primary key is planned and run in a third of the time that one for each shard
// takes, which is most of what a message waits for, and of what looking in vain
// costs.

// glanceRows is how many rows a glance sees. Where there are more, or a hold is
// to be read around, lanes read otherwise.
const glanceRows = 64

// readKind is how a lane reads.
type readKind int

const (
	byShard   readKind = iota // some of each shard, along the index (shard, id)
	byStretch                 // all shards, in the order of the rows, up to an id
	byGlance                  // the first rows of the table
)

// readPlan is what one read is to bring.
type readPlan struct {
	kind     readKind
	limit    int   // rows at most
	perShard int   // of each, by shard
	to       int64 // the highest id of a stretch
}

// plan chooses how to read next.
func (l *lane) plan(held []lease.Held, sweep bool) readPlan {
	p := readPlan{limit: l.size, perShard: max(l.perShard, (l.size+len(held)-1)/len(held))}
	if l.away.count > 0 {
		p.limit = min(p.limit, probeSize)
		p.perShard = max((p.limit+len(held)-1)/len(held), 1)
	}
	switch {
	case sweep || l.away.count > 0 || len(l.holds) > 0 || len(held) < manyShards:
	case l.ahead > 0:
		p.kind, p.to = byStretch, l.ahead
		l.relay.stats.stretches.Add(1)
	case l.calm:
		p.kind, p.limit = byGlance, min(p.limit, glanceRows)
	}
	return p
}

// spared returns how much longer l can wait because another lane looks, or 0
// where it is its own turn. What one lane's glance finds for another, above its
// own floor or below, it wakes that one for; only a sweep is everybody's own.
func (l *lane) spared(p pause) time.Duration {
	if !p.shared || time.Since(l.swept) >= l.relay.cfg.Sweep {
		return 0
	}
	last := l.relay.glanced.Load()
	if left := p.wait - time.Since(time.Unix(0, last)); left > 0 {
		return left
	}
	if !l.relay.glanced.CompareAndSwap(last, time.Now().UnixNano()) {
		return p.wait // another one was quicker
	}
	return 0
}

// tell wakes the other lanes where a read has found that there is something for
// them.
func (l *lane) tell(res readResult, p readPlan) {
	if !res.void && (p.kind != byGlance || res.rows == len(res.records)) {
		return
	}
	for _, other := range l.relay.lanes {
		if other != l {
			other.poke()
		}
	}
}

// glanceQuery reads the first rows above the lowest floor of reads.
func glanceQuery(d sqldialect.Dialect, n sqldialect.Names, reads []shardRead, limit int) (string, []any) {
	return alongQuery(d, n, "", limit), []any{lowestFloor(reads)}
}

// alongQuery reads rows above an id along the primary key. It ends its condition
// with more, which must fit no other index.
func alongQuery(d sqldialect.Dialect, n sqldialect.Names, more string, limit int) string {
	table, columns, open, end := n.Table(d, schema.Outbox), recordColumns, "", ""
	switch d {
	case sqldialect.PostgreSQL:
		columns += placeColumn
		open, end = snapshotRow+"(", ")"
	case sqldialect.MySQL:
		table += " FORCE INDEX (PRIMARY)"
	default: // the others need no help
	}
	return d.Bind(open + "SELECT " + columns + " FROM " + table + " WHERE id > ?" + more + " ORDER BY id LIMIT " + strconv.Itoa(limit) + end)
}

func lowestFloor(reads []shardRead) int64 {
	floor := reads[0].floor
	for _, r := range reads {
		floor = min(floor, r.floor)
	}
	return floor
}
