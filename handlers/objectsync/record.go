package objectsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Status is where an entity stands.
type Status string

// The statuses.
const (
	Pending Status = "pending" // marked, at work, or to be tried again
	Synced  Status = "synced"  // the object is that of the row
	Removed Status = "removed" // the row is gone and so is the object: a tombstone
	Failed  Status = "failed"  // given up
)

func (s Status) valid() bool { return s == Pending || s == Synced || s == Removed || s == Failed }

// ErrNoRecord says that an entity was never marked, or that its tombstone was removed.
var ErrNoRecord = errors.New("entity has no record")

// Record is what the table tells of an entity.
type Record struct {
	Entity, Key string
	Status      Status
	// Version, Hash, Size and ETag are those of the object that was written last; of a
	// Removed one only the Version.
	Version int64
	Hash    string
	Size    int64
	ETag    string
	// Marks counts the marks; it grows with each.
	Marks int64
	// Error is why the last run failed; empty where it did not.
	Error    string
	MarkedAt time.Time
	// SyncedAt is when the object was last written or found right. Zero: never.
	SyncedAt time.Time

	override bool
}

// Record reads the record of an entity. ErrNoRecord.
func (s *Syncer) Record(ctx context.Context, entity string) (Record, error) {
	return s.table.get(ctx, entity)
}

// Filter says which records List returns.
type Filter struct {
	// Status of the records. Empty: any.
	Status Status
	// After is the last entity of the page before. Empty: the first page.
	After string
	// Limit is how many to return at most, up to 1000. Default: 100.
	Limit int
}

const maxPage = 1000

// List returns records in the order of their entities.
func (s *Syncer) List(ctx context.Context, f Filter) ([]Record, error) {
	orDefault(&f.Limit, 100)
	var errs []error
	if f.Status != "" && !f.Status.valid() {
		errs = append(errs, fmt.Errorf("Filter.Status: %q is none", string(f.Status)))
	}
	if f.Limit < 1 || f.Limit > maxPage {
		errs = append(errs, fmt.Errorf("Filter.Limit: %d, use 1 to %d", f.Limit, maxPage))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if f.Status == "" {
		return s.table.list(ctx, "AND entity > ? ORDER BY entity LIMIT ?", f.After, f.Limit)
	}
	return s.table.list(ctx, "AND status = ? AND entity > ? ORDER BY entity LIMIT ?", string(f.Status), f.After, f.Limit)
}

// Counts counts the records by status.
func (s *Syncer) Counts(ctx context.Context) (map[Status]int64, error) {
	out := map[Status]int64{}
	_, err := sqltable.Collect(ctx, &s.table.Tables, s.db, "SELECT status, COUNT(*) FROM {object} WHERE sync_name = ? GROUP BY status", []any{s.cfg.Name},
		func(row dbtx.Row) (status Status, err error) {
			var n int64
			err = row.Scan(&status, &n)
			out[status] = n
			return status, err
		})
	if err != nil {
		return nil, fmt.Errorf("count records: %w", err)
	}
	return out, nil
}
