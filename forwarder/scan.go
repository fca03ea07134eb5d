package forwarder

import (
	"database/sql"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// slab is how many records are allocated at once.
const slab = 128

// scanner makes records of the rows of one read.
type scanner struct {
	free    []record
	into    []any // where a row is scanned to
	payload sql.Null[[]byte]
	place   string
}

func newScanner(d sqldialect.Dialect, limit int) *scanner {
	s := &scanner{free: make([]record, min(limit, slab)), into: make([]any, 10, 11)}
	s.into[5] = &s.payload
	if d == sqldialect.PostgreSQL {
		s.into = append(s.into, &s.place)
	}
	return s
}

// snapshot reads the row before the first record.
func (s *scanner) snapshot(rows *sql.Rows) (snapshot, error) {
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return snapshot{}, fmt.Errorf("read outbox: %w", err)
		}
		return snapshot{}, errSnapshot
	}
	m, err := s.record(rows)
	if err != nil {
		return snapshot{}, err
	}
	return parseSnapshot(m.topic)
}

func (s *scanner) record(rows *sql.Rows) (*record, error) {
	if len(s.free) == 0 {
		s.free = make([]record, slab)
	}
	m := &s.free[0]
	s.into[0], s.into[1], s.into[2], s.into[3], s.into[4] = &m.id, &m.shard, &m.topic, &m.key, &m.uuid
	s.into[6], s.into[7], s.into[8], s.into[9] = &m.headers, &m.traceParent, &m.traceState, &m.attempts
	if err := rows.Scan(s.into...); err != nil {
		return nil, fmt.Errorf("read outbox row: %w", err)
	}
	if s.payload.Valid {
		m.payload = s.payload.V
		if m.payload == nil {
			m.payload = []byte{} // an empty payload is not the lack of one
		}
	}
	m.place = s.place
	s.free = s.free[1:]
	return m, nil
}
