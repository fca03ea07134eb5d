package forwarder

import (
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// A lane that has much to do reads a stretch of the table: the rows of all its
// shards up to some id, in the order in which they lie there. That touches each
// page of the table once; shard by shard, each is touched as often as the lane
// has shards, which is a fifth of the database's work. In turn it goes through
// the rows of other lanes, so it is for those that have many of the shards, and
// only while all these have rows waiting and none is held up.

const (
	// stretchShards is how many of the shards a lane must have.
	stretchShards = shards / 8
	// stretchSlack is how many times the ids that a batch should span are looked
	// through at most.
	stretchSlack = 2
)

// stretch returns the highest id of the next read, or 0 where it is to go shard
// by shard.
func (l *lane) stretch(held []lease.Held, sweep bool) int64 {
	if sweep || l.away.count > 0 || len(l.holds) > 0 || len(held) < stretchShards {
		return 0
	}
	return l.ahead
}

// aim sets how far the next stretch goes after a read: nowhere if that was not
// full, or lacked rows of a shard.
func (l *lane) aim(res readResult, held []lease.Held, limit int) {
	l.ahead = 0
	if !res.full || len(res.records) < limit || len(res.counts) < len(held) {
		return
	}
	last := res.records[len(res.records)-1].id
	l.ahead = last + stretchSlack*int64(limit)*shards/int64(len(held))
}

// stretchQuery reads the rows of the shards of reads up to the id to. Of the
// indexes only the primary key fits it: shard + 0 is in none.
func stretchQuery(d sqldialect.Dialect, n sqldialect.Names, reads []shardRead, to int64, limit int) (string, []any) {
	table, columns, open, end := n.Table(d, schema.Outbox), recordColumns, "", ""
	switch d {
	case sqldialect.PostgreSQL:
		columns += placeColumn
		open, end = snapshotRow+"(", ")"
	case sqldialect.MySQL:
		table += " FORCE INDEX (PRIMARY)"
	default: // the others need no help
	}
	floor, list := reads[0].floor, make([]string, 0, len(reads))
	for shard := range shards { // in order, so that there are few texts to prepare
		for _, r := range reads {
			if r.shard == shard {
				floor, list = min(floor, r.floor), append(list, strconv.Itoa(shard))
			}
		}
	}
	only := ""
	if len(list) < shards {
		only = " AND shard + 0 IN (" + strings.Join(list, ", ") + ")"
	}
	query := open + "SELECT " + columns + " FROM " + table + " WHERE id > ? AND id <= ?" + only + " ORDER BY id LIMIT " + strconv.Itoa(limit) + end
	return d.Bind(query), []any{floor, to}
}

// stretched completes the result of a stretch up to the id to. What lies beyond
// it was not looked at, so there may always be more.
func (res *readResult) stretched(to int64, limit int) {
	res.full, res.reached = true, to
	if n := len(res.records); n == limit {
		res.reached = res.records[n-1].id
	} else if n == 0 {
		res.again = true
	}
}
