package objectsync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// table has the records of one name: {object} and {action}.
type table struct {
	sqltable.Tables

	name string
}

func newTable(db *sql.DB, d Dialect, cfg *Config) table {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	return table{Tables: sqltable.New(db, d, n, cfg.Now, map[string]string{"object": schema.Object, "action": schema.ObjectAction}), name: cfg.Name}
}

const recordColumns = "entity, object_key, status, dirty, version, hash, size, etag, override, error, marked_at, synced_at"

func scanRecord(row dbtx.Row) (r Record, err error) {
	var override, marked, synced int64
	err = row.Scan(&r.Entity, &r.Key, &r.Status, &r.Marks, &r.Version, &r.Hash, &r.Size, &r.ETag, &override, &r.Error, &marked, &synced)
	r.override, r.MarkedAt, r.SyncedAt = override != 0, sqltable.Time(marked), sqltable.Time(synced)
	return r, err
}

// get reads one record. ErrNoRecord.
func (t *table) get(ctx context.Context, entity string) (Record, error) {
	r, err := sqltable.One(ctx, &t.Tables, "SELECT "+recordColumns+" FROM {object} WHERE sync_name = ? AND entity = ?", []any{t.name, entity}, scanRecord)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Record{}, ErrNoRecord
	case err != nil:
		return Record{}, fmt.Errorf("read record: %w", err)
	}
	return r, nil
}

// list reads records; where follows "sync_name = ?".
func (t *table) list(ctx context.Context, where string, args ...any) ([]Record, error) {
	list, err := sqltable.Collect(ctx, &t.Tables, t.DB, "SELECT "+recordColumns+" FROM {object} WHERE sync_name = ? "+where, append([]any{t.name}, args...), scanRecord)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	return list, nil
}
