package forwarder

import (
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// A lane that has much to do reads a stretch of the table: the rows of all its
// shards up to some id, in the order in which they lie there. That touches each
// page of the table once; shard by shard, each is touched as often as the lane
// has shards, which is a fifth of the database's work. In turn it goes through
// the rows of other lanes, so it is for those that have many of the shards, and
// only while all these have rows waiting and none is held up.

const (
	// manyShards is how many of the shards a lane must have to go through the
	// rows of others.
	manyShards = shards / 8
	// stretchSlack is how many times the ids that a batch should span are looked
	// through at most.
	stretchSlack = 2
)

// aim sets how the next read should go: a stretch after one that was full and had
// rows of all shards, a glance after one that had few.
func (l *lane) aim(res readResult, held []lease.Held, limit int) {
	l.ahead, l.calm = 0, !res.full && len(res.records) <= glanceRows/2
	if !res.full || len(res.records) < limit {
		return
	}
	for _, h := range held {
		if res.counts[h.Part] == 0 {
			return
		}
	}
	l.ahead = res.last + stretchSlack*int64(l.size)*shards/int64(len(held))
}

// stretchQuery reads the rows of the shards of reads up to the id to. Of the
// indexes only the primary key fits it: shard + 0 is in none.
func stretchQuery(d sqldialect.Dialect, n sqldialect.Names, reads []shardRead, to int64, limit int) (string, []any) {
	list := make([]string, 0, len(reads))
	for shard := range shards { // in order, so that there are few texts to prepare
		for _, r := range reads {
			if r.shard == shard {
				list = append(list, strconv.Itoa(shard))
			}
		}
	}
	more := " AND id <= ?"
	if len(list) < shards {
		more += " AND shard + 0 IN (" + strings.Join(list, ", ") + ")"
	}
	return alongQuery(d, n, more, limit), []any{lowestFloor(reads), to}
}
