package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// position is a place in their table. PostgreSQL orders by transaction first.
type position struct {
	xid    uint64 // PostgreSQL only
	offset int64
}

// foreign is one row of their table.
type foreign struct {
	at       position
	uuid     string
	payload  []byte
	metadata []byte

	topic string           // where the message in payload was to go
	msg   *message.Message // nil where there is none in it
}

// takeoverTables holds what is said to their tables in each dialect.
type takeoverTables struct {
	d                 sqldialect.Dialect
	messages, offsets string // quoted
	offsetsPlain      string
	group             string
}

type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ensure adds the group's row at zero where there is none, as theirs does.
func (t takeoverTables) ensure(ctx context.Context, q querier) error {
	query := "INSERT INTO " + t.offsets + " (consumer_group, offset_acked, last_processed_transaction_id) VALUES ($1, 0, '0') ON CONFLICT DO NOTHING"
	if t.d == sqldialect.MySQL {
		query = "INSERT IGNORE INTO " + t.offsets + " (consumer_group, offset_acked, offset_consumed) VALUES (?, 0, 0)"
	}
	_, err := q.ExecContext(ctx, query, t.group)
	return err
}

// lock locks the group's row and returns the position in it. Where somebody
// holds it, it returns ErrForwarderRunning at once: theirs holds it while it
// delivers.
func (t takeoverTables) lock(ctx context.Context, q querier) (position, error) {
	var p position
	var err error
	if t.d == sqldialect.PostgreSQL {
		var xid string
		err = q.QueryRowContext(ctx, "SELECT COALESCE(offset_acked, 0), last_processed_transaction_id::text FROM "+t.offsets+
			" WHERE consumer_group = $1 FOR UPDATE NOWAIT", t.group).Scan(&p.offset, &xid)
		if err == nil {
			p.xid, err = strconv.ParseUint(xid, 10, 64)
		}
	} else {
		err = q.QueryRowContext(ctx, "SELECT COALESCE(offset_acked, 0) FROM "+t.offsets+
			" WHERE consumer_group = ? FOR UPDATE NOWAIT", t.group).Scan(&p.offset)
	}
	if t.d.IsContention(err) {
		return p, fmt.Errorf("%w: it holds the group's offset", ErrForwarderRunning)
	}
	return p, err
}

// advance moves the group's row, which is locked.
func (t takeoverTables) advance(ctx context.Context, q querier, to position) error {
	var err error
	if t.d == sqldialect.PostgreSQL {
		_, err = q.ExecContext(ctx, "UPDATE "+t.offsets+" SET offset_acked = $1, last_processed_transaction_id = $2::text::xid8 WHERE consumer_group = $3",
			to.offset, strconv.FormatUint(to.xid, 10), t.group)
	} else {
		_, err = q.ExecContext(ctx, "UPDATE "+t.offsets+" SET offset_acked = ?, offset_consumed = ? WHERE consumer_group = ?", to.offset, to.offset, t.group)
	}
	return err
}

// read returns the rows after from, in their order.
func (t takeoverTables) read(ctx context.Context, q querier, from position, limit int) (_ []foreign, err error) {
	query := "SELECT 0, `offset`, uuid, payload, metadata FROM " + t.messages + " WHERE `offset` > ? ORDER BY `offset` LIMIT " + strconv.Itoa(limit)
	args := []any{from.offset}
	if t.d == sqldialect.PostgreSQL {
		// The horizon is theirs: below it, no transaction can add a row any more.
		// The order has to name the table, or it would be that of the text.
		query = `SELECT m.transaction_id::text, m."offset", m.uuid, m.payload, m.metadata FROM ` + t.messages + ` AS m
			WHERE (m.transaction_id, m."offset") > ($1::text::xid8, $2) AND m.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
			ORDER BY m.transaction_id, m."offset" LIMIT ` + strconv.Itoa(limit)
		args = []any{strconv.FormatUint(from.xid, 10), from.offset}
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read their messages: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []foreign
	for rows.Next() {
		var f foreign
		var xid string
		if err := rows.Scan(&xid, &f.at.offset, &f.uuid, &f.payload, &f.metadata); err != nil {
			return nil, fmt.Errorf("read their messages: %w", err)
		}
		if f.at.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
			return nil, fmt.Errorf("read their messages: %w", err)
		}
		out = append(out, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read their messages: %w", err)
	}
	return out, nil
}

// highest returns the highest offset that is visible (MySQL).
func (t takeoverTables) highest(ctx context.Context, q querier) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT COALESCE(MAX(`offset`), 0) FROM "+t.messages).Scan(&n)
	return n, err
}

// resolve waits until every transaction that has inserted a row between the
// offsets has ended (MySQL). Below REPEATABLE READ it locks rows only, never the
// gaps, so it keeps no writer waiting.
func (t takeoverTables) resolve(ctx context.Context, db *sql.DB, after, upTo int64) (err error) {
	tx, err := db.BeginTx(ctx, t.d.TxOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreDone(tx.Rollback())) }()
	rows, err := tx.QueryContext(ctx, "SELECT `offset` FROM "+t.messages+" WHERE `offset` > ? AND `offset` <= ? LOCK IN SHARE MODE", after, upTo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() { // the waiting happens on the way
	}
	return rows.Err()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
