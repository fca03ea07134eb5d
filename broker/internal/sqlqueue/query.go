package sqlqueue

import (
	"database/sql"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// contentQuery fetches messages by their numbers.
func (s *store) contentQuery(topic int64, ids []int64) (string, []any) {
	const columns = "id, message_key, message_uuid, payload, headers, created_at"
	if s.dialect == sqldialect.PostgreSQL {
		return "SELECT " + columns + " FROM " + s.tables.message + " WHERE topic_id = $1 AND id = ANY(CAST($2 AS BIGINT[]))", []any{topic, ids}
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE id IN (%s)", columns, s.tables.message, join64(ids)), nil
}

func scanStored(rows *sql.Rows) (m stored, id int64, err error) {
	var key []byte
	var payload sql.Null[[]byte]
	if err := rows.Scan(&id, &key, &m.uuid, &payload, &m.headers, &m.createdAt); err != nil {
		return stored{}, 0, err
	}
	m.key = string(key)
	if payload.Valid {
		m.payload = payload.V
		if m.payload == nil {
			m.payload = []byte{} // an empty payload is not the lack of one
		}
	}
	return m, id, nil
}

// pendingQuery goes along the primary key, one short walk a shard. PostgreSQL
// gets arrays and so one text; the others get one part a shard.
func (s *store) pendingQuery(group int64, q readPlan) (string, []any) {
	if s.dialect == sqldialect.PostgreSQL {
		return fmt.Sprintf(`SELECT s.shard, p.message_id, p.key_hash FROM unnest(CAST($1 AS SMALLINT[]), CAST($2 AS BIGINT[])) AS s (shard, floor)
CROSS JOIN LATERAL (SELECT message_id, key_hash FROM %s WHERE group_id = $3 AND shard = s.shard AND message_id > s.floor
AND message_id <> ALL(CAST($4 AS BIGINT[])) AND key_hash <> ALL(CAST($5 AS BIGINT[])) ORDER BY message_id LIMIT $6) p`, s.tables.pending),
			[]any{q.shards, q.floors, group, flat(q.held), flat(q.failing), q.perShard}
	}
	var b []byte
	start, end := "(", ")"
	if s.dialect == sqldialect.SQLite { // takes no LIMIT in a part of a compound
		start, end = "SELECT * FROM (", ")"
	}
	for i, shard := range q.shards {
		if i > 0 {
			b = append(b, " UNION ALL "...)
		}
		without := ""
		if held := q.held[i]; len(held) > 0 {
			without += " AND message_id NOT IN (" + join64(held) + ")"
		}
		if failing := q.failing[i]; len(failing) > 0 {
			without += " AND key_hash NOT IN (" + join64(failing) + ")"
		}
		b = fmt.Appendf(b, "%sSELECT shard, message_id, key_hash FROM %s WHERE group_id = %d AND shard = %d AND message_id > %d%s ORDER BY message_id LIMIT %d%s",
			start, s.tables.pending, group, shard, q.floors[i], without, q.perShard, end)
	}
	return string(b), nil
}

// flat joins lists to one that is not nil, which would be NULL.
func flat(lists [][]int64) []int64 {
	out := []int64{}
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
