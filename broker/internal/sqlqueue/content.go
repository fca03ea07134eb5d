package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func waitFor(ctx context.Context, d time.Duration) error { return backoff.Wait(ctx, d) }

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
