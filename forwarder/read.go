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
	table, order := n.Table(d, schema.Outbox), "id"
	switch d {
	case sqldialect.PostgreSQL:
		order = "shard, id"
	case sqldialect.MySQL:
		table += " FORCE INDEX (" + d.Quote(n.Plain("outbox_shard_id")) + ")"
	default:
		table += " INDEXED BY " + d.Quote(n.Plain("outbox_shard_id"))
	}

	var b strings.Builder
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
		b.WriteString(open + "SELECT " + recordColumns + " FROM " + table + " WHERE " + where)
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
	records []*record
	full    bool // there may be more
	skewed  bool // some shards had all the rows that were asked for, others few
}

// read reads the rows of reads, at most BatchSize and BatchBytes.
func (l *lane) read(ctx context.Context, reads []shardRead, perShard, limit int) (res readResult, err error) {
	o := l.relay.outbox
	query, args := readQuery(o.cfg.Dialect, o.names, reads, perShard)
	rows, err := o.db.QueryContext(ctx, query, args...)
	if err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	counts := map[int]int{}
	size := 0
	for rows.Next() {
		if len(res.records) >= limit || size >= l.relay.cfg.BatchBytes {
			res.full = true
			return res, nil // Close ends the query
		}
		m, err := scanRecord(rows)
		if err != nil {
			return readResult{}, err
		}
		size += m.size()
		res.records = append(res.records, m)
		counts[m.shard]++
		if counts[m.shard] == perShard {
			res.full = true
		}
	}
	if err := rows.Err(); err != nil {
		return readResult{}, fmt.Errorf("read outbox: %w", err)
	}
	res.skewed = res.full && len(res.records) < limit/2
	return res, nil
}

func scanRecord(rows *sql.Rows) (*record, error) {
	m := &record{}
	var payload sql.Null[[]byte]
	err := rows.Scan(&m.id, &m.shard, &m.topic, &m.key, &m.uuid, &payload, &m.headers, &m.traceParent, &m.traceState, &m.attempts)
	if err != nil {
		return nil, fmt.Errorf("read outbox row: %w", err)
	}
	if payload.Valid {
		m.payload = payload.V
		if m.payload == nil {
			m.payload = []byte{} // an empty payload is not the lack of one
		}
	}
	return m, nil
}
