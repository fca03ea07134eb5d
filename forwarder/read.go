package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// shardRead is what one read wants of one shard.
type shardRead struct {
	shard int
	floor int64
	keys  []string // left out
	ids   []int64  // left out
}

// recordColumns are what scanRecord scans.
const recordColumns = "id, shard, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts"

// PostgreSQL's reads also tell where each row is, which makes it cheap to
// delete, and begin with a row that has the snapshot in place of a topic.
const (
	placeColumn = ", CAST(ctid AS TEXT)"
	snapshotRow = "SELECT CAST(0 AS BIGINT), CAST(-1 AS SMALLINT), CAST(pg_current_snapshot() AS TEXT), '', '', " +
		"CAST(NULL AS BYTEA), '', '', '', 0, '' UNION ALL "
)

// readQuery returns the one query of a lane: for each shard, the first rows
// above its floor. Only within a shard does order matter, so each is a short
// walk along the index (shard, id), however the rows are spread, and nothing is
// sorted. Lists are padded to powers of two, so that there are few texts for
// the database to prepare.
//
// The index has to be insisted on: planners like the primary key better, whose
// order is the same, and would go through the rows of all other shards. MySQL
// takes a hint. PostgreSQL has none, but no other index has the order of a
// range over both columns.
func readQuery(d sqldialect.Dialect, n sqldialect.Names, reads []shardRead, perShard int) (string, []any) {
	table, order, columns := n.Table(d, schema.Outbox), "id", recordColumns
	var b strings.Builder
	switch d {
	case sqldialect.PostgreSQL:
		order = "shard, id"
		columns += placeColumn
		b.WriteString(snapshotRow)
	case sqldialect.MySQL:
		table += " FORCE INDEX (" + d.Quote(n.Plain("outbox_shard_id")) + ")"
	default:
		table += " INDEXED BY " + d.Quote(n.Plain("outbox_shard_id"))
	}

	var args []any
	for i, r := range reads {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		open, end := "(", ")"
		if d == sqldialect.SQLite { // takes no LIMIT in a part of a compound
			open, end = "SELECT * FROM (", ")"
		}
		shard := strconv.Itoa(r.shard)
		where := "shard = " + shard + " AND id > ?"
		if d == sqldialect.PostgreSQL {
			where = "(shard, id) > (" + shard + ", ?) AND shard <= " + shard
		}
		b.WriteString(open + "SELECT " + columns + " FROM " + table + " WHERE " + where)
		args = append(args, r.floor)
		if keys := pad(r.keys); len(keys) > 0 {
			b.WriteString(" AND message_key NOT IN (" + sqldialect.List(len(keys)) + ")")
			for _, k := range keys {
				args = append(args, k)
			}
		}
		if ids := pad(r.ids); len(ids) > 0 {
			b.WriteString(" AND id NOT IN (" + sqldialect.List(len(ids)) + ")")
			for _, id := range ids {
				args = append(args, id)
			}
		}
		b.WriteString(" ORDER BY " + order + " LIMIT " + strconv.Itoa(perShard) + end)
	}
	return d.Bind(b.String()), args
}

// pad repeats the last element up to the next power of two.
func pad[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	n := 1
	for n < len(list) {
		n *= 2
	}
	out := make([]T, n)
	copy(out, list)
	for i := len(list); i < n; i++ {
		out[i] = list[len(list)-1]
	}
	return out
}

// readResult is what one read found.
type readResult struct {
	records  []*record
	counts   map[int]int // of each shard
	perShard int         // at most of each shard
	full     bool        // there may be more
	cut      bool        // the batch was full before all shards were read
	skewed   bool        // some shards had all the rows that were asked for, others few
	void     bool        // some floors were, for a transaction that has ended
	again    bool        // something has to be read from the start at once
	rows     int         // those of others among them
	last     int64       // the highest id
	reached  int64       // if not 0, what lies above it was not looked at
	through  int64       // of all shards alike, everything up to it was read
	seen     snapshot    // PostgreSQL's
}

// query returns the statement for reads.
func (l *lane) query(reads []shardRead, p readPlan) (string, []any) {
	o := l.relay.outbox
	switch p.kind {
	case byStretch:
		return stretchQuery(o.cfg.Dialect, o.names, reads, p.to, p.limit)
	case byGlance:
		return glanceQuery(o.cfg.Dialect, o.names, reads, p.limit)
	default:
		return readQuery(o.cfg.Dialect, o.names, reads, p.perShard)
	}
}

// read reads rows of the shards of reads as planned, at most BatchBytes of them.
func (l *lane) read(ctx context.Context, reads []shardRead, p readPlan) (res readResult, err error) {
	o := l.relay.outbox
	query, args := l.query(reads, p)
	rows, err := o.db.QueryContext(ctx, query, args...)
	if err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	res.perShard = p.perShard
	if p.kind != byShard {
		res.perShard = p.limit + 1 // as many as there are
	}
	scan := newScanner(o.cfg.Dialect, p.limit)
	if o.cfg.Dialect == sqldialect.PostgreSQL {
		if res.seen, err = scan.snapshot(rows); err != nil {
			return readResult{}, err
		}
	}
	if err := l.collect(&res, rows, scan, reads, p); err != nil || res.cut {
		return res, err // Close ends the query
	}
	if err := rows.Err(); err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	res.finish(p)
	return res, nil
}

// collect scans the rows of the shards of reads.
func (l *lane) collect(res *readResult, rows *sql.Rows, scan *scanner, reads []shardRead, p readPlan) error {
	res.counts = make(map[int]int, len(reads))
	for _, r := range reads {
		res.counts[r.shard] = 0
	}
	res.records = make([]*record, 0, min(p.limit, res.perShard*len(reads)))
	size := 0
	for rows.Next() {
		if len(res.records) >= p.limit || size >= l.relay.cfg.BatchBytes {
			res.full, res.cut = true, true
			return nil
		}
		m, err := scan.record(rows)
		if err != nil {
			return err
		}
		res.rows++
		res.last = max(res.last, m.id)
		if _, mine := res.counts[m.shard]; !mine {
			continue // a glance sees the rows of others too
		}
		size += m.size()
		res.records = append(res.records, m)
		res.counts[m.shard]++
		if res.counts[m.shard] == res.perShard {
			res.full = true
		}
	}
	return nil
}

// finish says what a read that came to its end has left out.
func (res *readResult) finish(p readPlan) {
	if p.kind != byShard {
		res.through = res.last // and no further: what is above it may not even be numbered yet
	}
	switch p.kind {
	case byStretch: // what lies beyond it was not looked at
		res.full, res.reached = true, p.to
		if res.rows == p.limit {
			res.reached = res.last
		}
	case byGlance:
		if res.rows == p.limit {
			res.full, res.reached = true, res.last
		}
	default:
		res.skewed = res.full && len(res.records) < p.limit/2
	}
	res.again = res.full && len(res.records) == 0
}
