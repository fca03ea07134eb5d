package objectsync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// table has the records of one name.
type table struct {
	db      *sql.DB
	dialect Dialect
	name    string
	now     func() time.Time

	object, action string
}

func newTable(db *sql.DB, d Dialect, cfg *Config) table {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	return table{
		db: db, dialect: d, name: cfg.Name, now: cfg.Now,
		object: n.Table(d, schema.Object), action: n.Table(d, schema.ObjectAction),
	}
}

// at puts tables and clock into a query and numbers its placeholders.
func (t *table) at(query string) string {
	now := t.dialect.Now()
	if t.now != nil {
		now = strconv.FormatInt(t.now().UnixMicro(), 10)
	}
	return t.dialect.Bind(strings.NewReplacer("{object}", t.object, "{action}", t.action, "{now}", now).Replace(query))
}

// exec runs a statement and returns how many rows it changed.
func (t *table) exec(ctx context.Context, x dbtx.Executor, query string, args ...any) (int64, error) {
	res, err := x.ExecContext(ctx, t.at(query), args...)
	if err != nil {
		return 0, t.mark(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// mark says of an error of the database that it could not be reached, or that a race was lost.
func (t *table) mark(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if t.dialect.IsContention(err) || t.dialect.IsUnavailable(err) || errors.Is(err, sql.ErrConnDone) {
		return failure.Unavailable(err)
	}
	return err
}

// inTx runs fn in a short transaction.
func (t *table) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, t.dialect.TxOptions())
	if err != nil {
		return fmt.Errorf("begin transaction: %w", t.mark(ctx, err))
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", t.mark(ctx, err))
	}
	return nil
}

const recordColumns = "entity, object_key, status, dirty, version, hash, size, etag, override, error, marked_at, synced_at"

func scanRecord(row interface{ Scan(dest ...any) error }) (r Record, err error) {
	var override, marked, synced int64
	err = row.Scan(&r.Entity, &r.Key, &r.Status, &r.Marks, &r.Version, &r.Hash, &r.Size, &r.ETag, &override, &r.Error, &marked, &synced)
	r.override, r.MarkedAt, r.SyncedAt = override != 0, fromMicros(marked), fromMicros(synced)
	return r, err
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// get reads one record. ErrNoRecord.
func (t *table) get(ctx context.Context, entity string) (Record, error) {
	r, err := scanRecord(t.db.QueryRowContext(ctx, t.at("SELECT "+recordColumns+" FROM {object} WHERE sync_name = ? AND entity = ?"), t.name, entity))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Record{}, ErrNoRecord
	case err != nil:
		return Record{}, fmt.Errorf("read record: %w", t.mark(ctx, err))
	}
	return r, nil
}

// list reads records; where follows "sync_name = ?".
func (t *table) list(ctx context.Context, where string, args ...any) (out []Record, err error) {
	query := t.at("SELECT " + recordColumns + " FROM {object} WHERE sync_name = ? " + where)
	rows, err := t.db.QueryContext(ctx, query, append([]any{t.name}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", t.mark(ctx, err))
	}
	defer func() { _ = rows.Close() }() // Err has told of what went wrong
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("list records: %w", err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list records: %w", t.mark(ctx, err))
	}
	return out, nil
}
