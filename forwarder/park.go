package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// parkedRecord leaves the outbox for a time.
type parkedRecord struct {
	failedRecord
	delay time.Duration
}

// exhausted decides about a message that was refused MaxAttempts times or more.
func (l *lane) exhausted(s *settlement, m *record, h *hold, err error) {
	cfg := l.relay.cfg
	if cfg.Park.Off || m.attempts >= cfg.Park.Attempts {
		s.fail(m, err)
		return
	}
	delay := cfg.Park.delay(m.attempts, cfg.MaxAttempts)
	if asked, ok := failure.Delay(err); ok {
		delay = max(delay, min(asked, MaxDelay))
	}
	if cfg.Park.Hold {
		s.refused = append(s.refused, m)
		h.until = time.Now().Add(delay)
		return
	}
	s.parked = append(s.parked, parkedRecord{failedRecord{m, errorText(err)}, delay})
}

// parkChunk is how many rows are read at once to be parked.
const parkChunk = 128

// park moves rows out of the outbox, each into a task. What is stored is what the
// table has, not what the publisher was lent. A row that is gone stays so.
func (l *lane) park(w settleWriter, tx *sql.Tx, parked []parkedRecord) error {
	for some := range slices.Chunk(parked, parkChunk) {
		ids := make([]int64, len(some))
		byID := make(map[int64]parkedRecord, len(some))
		for i, m := range some {
			ids[i], byID[m.id] = m.id, m
		}
		rows, err := l.stored(w.ctx, tx, w.outbox, ids)
		if err != nil {
			return fmt.Errorf("read messages to park: %w", err)
		}
		for _, in := range rows {
			m := byID[in.id]
			spec := schedule.Spec{Delay: m.delay, Attempts: m.attempts, Error: m.reason}
			if err := l.relay.outbox.shelve(w.ctx, tx, spec, in.row()); err != nil {
				return fmt.Errorf("park message: %w", err)
			}
		}
		if err := w.each("DELETE FROM "+w.outbox+" WHERE id ", nil, ids); err != nil {
			return fmt.Errorf("remove parked messages: %w", err)
		}
	}
	return nil
}

func (l *lane) stored(ctx context.Context, tx *sql.Tx, table string, ids []int64) (out []*record, err error) {
	d := l.relay.outbox.cfg.Dialect
	columns := recordColumns
	if d == sqldialect.PostgreSQL {
		columns += placeColumn
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := tx.QueryContext(ctx, d.Bind("SELECT "+columns+" FROM "+table+" WHERE id IN ("+sqldialect.List(len(ids))+") ORDER BY id"), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for scan := newScanner(d, len(ids)); rows.Next(); {
		m, err := scan.record(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// row returns the row that Publish wrote.
func (m *record) row() *row {
	return &row{
		shard: m.shard, topic: m.topic, key: m.key, uuid: m.uuid, payload: m.payload, headers: m.headers,
		traceParent: m.traceParent, traceState: m.traceState, attempts: m.attempts,
	}
}
