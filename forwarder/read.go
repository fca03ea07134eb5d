package forwarder

import (
	"context"
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

// wholeQuery is the query of a lane that has all shards of SQLite: there nothing
// is gained by taking them apart, and rows that lie side by side are cheap to
// read and to remove.
func wholeQuery(n sqldialect.Names, reads []shardRead, limit int) (string, []any) {
	floor := reads[0].floor
	var keys []string
	var ids []int64
	for _, r := range reads {
		floor = min(floor, r.floor)
		keys, ids = append(keys, r.keys...), append(ids, r.ids...)
	}
	query := "SELECT " + recordColumns + " FROM " + n.Table(sqldialect.SQLite, schema.Outbox) + " WHERE id > ?"
	args := []any{floor}
	if len(keys) > 0 {
		query += " AND message_key NOT IN (" + sqldialect.List(len(keys)) + ")"
		for _, k := range keys {
			args = append(args, k)
		}
	}
	if len(ids) > 0 {
		query += " AND id NOT IN (" + join(ids) + ")"
	}
	return query + " ORDER BY id LIMIT " + strconv.Itoa(limit+1), args
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
	again    bool        // something has to be read from the start at once
	reached  int64       // of a stretch: everything up to it was read
	seen     snapshot    // PostgreSQL's
}

// read reads the rows of reads, at most limit and BatchBytes: perShard of each,
// or, if to is not 0, the first ones of all up to that id.
func (l *lane) read(ctx context.Context, reads []shardRead, perShard, limit int, to int64) (res readResult, err error) {
	o := l.relay.outbox
	var query string
	var args []any
	switch {
	case o.cfg.Dialect == sqldialect.SQLite && len(reads) == shards:
		query, args = wholeQuery(o.names, reads, limit)
		perShard, to = limit+1, 0 // as many as there are
	case to > 0:
		query, args = stretchQuery(o.cfg.Dialect, o.names, reads, to, limit)
		perShard = limit + 1
	default:
		query, args = readQuery(o.cfg.Dialect, o.names, reads, perShard)
	}
	rows, err := o.db.QueryContext(ctx, query, args...)
	if err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	res.counts, res.perShard = make(map[int]int, len(reads)), perShard
	scan := newScanner(o.cfg.Dialect, limit)
	if o.cfg.Dialect == sqldialect.PostgreSQL {
		if res.seen, err = scan.snapshot(rows); err != nil {
			return readResult{}, err
		}
	}
	res.records = make([]*record, 0, min(limit, perShard*len(reads)))
	size := 0
	for rows.Next() {
		if len(res.records) >= limit || size >= l.relay.cfg.BatchBytes {
			res.full, res.cut = true, true
			return res, nil // Close ends the query
		}
		m, err := scan.record(rows)
		if err != nil {
			return readResult{}, err
		}
		size += m.size()
		res.records = append(res.records, m)
		res.counts[m.shard]++
		if res.counts[m.shard] == perShard {
			res.full = true
		}
	}
	if err := rows.Err(); err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	if to > 0 {
		res.stretched(to, limit)
		return res, nil
	}
	res.skewed = res.full && len(res.records) < limit/2
	return res, nil
}
