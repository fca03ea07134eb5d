package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// statementBytes bounds one INSERT.
const statementBytes = 4 << 20

const messageColumns = "topic_id, shard, key_hash, message_key, message_uuid, payload, headers, created_at"

// insert stores rows in their order, and a pending row of each for every group
// of its topic.
func (s *store) insert(ctx context.Context, tx *sql.Tx, rows []row, now int64) error {
	limit := statementBytes
	if packet := s.packet.Load(); packet > 0 {
		limit = min(limit, int(packet/2)-4096)
	}
	for len(rows) > 0 {
		n := fits(rows, s.dialect.InsertRows(), limit)
		var err error
		if s.dialect == sqldialect.PostgreSQL {
			err = s.insertArrays(ctx, tx, rows[:n], now)
		} else {
			err = s.insertValues(ctx, tx, rows[:n], now)
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// insertArrays is one statement with one text for any number of rows. The
// numbers are drawn in the order of the rows.
func (s *store) insertArrays(ctx context.Context, tx *sql.Tx, rows []row, now int64) error {
	query := fmt.Sprintf(`WITH stored AS (
INSERT INTO %s (%s)
SELECT topic_id, shard, key_hash, message_key, message_uuid, payload, headers, CAST($8 AS BIGINT)
FROM unnest(CAST($1 AS INTEGER[]), CAST($2 AS SMALLINT[]), CAST($3 AS BIGINT[]), CAST($4 AS BYTEA[]), CAST($5 AS TEXT[]), CAST($6 AS BYTEA[]), CAST($7 AS BYTEA[]))
WITH ORDINALITY AS r (topic_id, shard, key_hash, message_key, message_uuid, payload, headers, n) ORDER BY n
RETURNING id, topic_id, shard, key_hash)
INSERT INTO %s (group_id, shard, message_id, key_hash)
SELECT g.id, m.shard, m.id, m.key_hash FROM stored m JOIN %s g ON g.topic_id = m.topic_id`,
		s.tables.message, messageColumns, s.tables.pending, s.tables.group)
	n := len(rows)
	topics, shardOf, hashes := make([]int32, n), make([]int16, n), make([]int64, n)
	keys, uuids, payloads, headers := make([][]byte, n), make([]string, n), make([][]byte, n), make([][]byte, n)
	for i := range rows {
		r := &rows[i]
		topics[i], shardOf[i], hashes[i] = int32(r.topic), r.shard, r.keyHash //nolint:gosec // an INTEGER
		keys[i], uuids[i], payloads[i], headers[i] = r.key, r.uuid, r.payload, r.headers
	}
	_, err := tx.ExecContext(ctx, query, topics, shardOf, hashes, keys, uuids, payloads, headers, now)
	return err
}

// insertValues inserts the messages, and then from them the pending rows. The
// numbers of one INSERT of so many rows follow each other, in MySQL in steps.
func (s *store) insertValues(ctx context.Context, tx *sql.Tx, rows []row, now int64) error {
	var b strings.Builder
	b.Grow(128 + len(rows)*36)
	b.WriteString("INSERT INTO " + s.tables.message + " (" + messageColumns + ") VALUES ")
	args := make([]any, 0, 4*len(rows))
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "(%d,%d,%d,?,?,?,?,%d)", r.topic, r.shard, r.keyHash, now)
		var payload any // an untyped nil is NULL with every driver
		if r.payload != nil {
			payload = r.payload
		}
		args = append(args, r.key, r.uuid, payload, r.headers)
	}
	res, err := tx.ExecContext(ctx, b.String(), args...)
	if err != nil {
		return err
	}
	first, err := res.LastInsertId()
	if err != nil {
		return err
	}
	steps := int64(len(rows) - 1)
	var last string
	if s.dialect == sqldialect.MySQL {
		last = fmt.Sprintf("%d + %d * @@auto_increment_increment", first, steps)
	} else { // SQLite tells the last one
		last = strconv.FormatInt(first, 10)
		first -= steps
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (group_id, shard, message_id, key_hash) SELECT g.id, m.shard, m.id, m.key_hash FROM %s m JOIN %s g ON g.topic_id = m.topic_id WHERE m.id BETWEEN %d AND %s",
		s.tables.pending, s.tables.message, s.tables.group, first, last))
	return err
}

func join64(ids []int64) string {
	b := make([]byte, 0, 8*len(ids))
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b)
}
