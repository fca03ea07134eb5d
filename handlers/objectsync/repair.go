package objectsync

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Repair is a person's order to upload an entity now.
type Repair struct {
	// Entity whose object is to be repaired. Required.
	Entity string
	// Actor is who gives the order; it is recorded. Required, up to 255 bytes.
	Actor string
	// Note is why, up to 4 KiB; it is recorded.
	Note string
	// Override writes in any case: over a higher version that was recorded or
	// is in the store, and where nothing seems to have changed.
	Override bool
}

// What an Action can be.
const (
	ActionRepair    = "repair"
	ActionOverride  = "override"
	ActionReconcile = "reconcile"
)

// Action is a record of who had an entity repaired.
type Action struct {
	ID     int64
	Entity string
	Action string // ActionRepair, ActionOverride or ActionReconcile
	Actor  string
	Note   string
	At     time.Time
}

// ErrRepair says that an order to repair is not complete. Nothing was changed.
var ErrRepair = errors.New("invalid repair")

func (r Repair) validate() error {
	var errs []error
	if r.Actor == "" || len(r.Actor) > 255 || !utf8.ValidString(r.Actor) {
		errs = append(errs, fmt.Errorf("%w: Repair.Actor: %d bytes, use 1 to 255 of valid UTF-8", ErrRepair, len(r.Actor)))
	}
	if len(r.Note) > 4<<10 || !utf8.ValidString(r.Note) {
		errs = append(errs, fmt.Errorf("%w: Repair.Note: %d bytes, use up to 4096 of valid UTF-8", ErrRepair, len(r.Note)))
	}
	return errors.Join(errs...)
}

// Repair records the order, marks the entity in the same transaction, and makes a run as
// Sync does. Attempts that were spent before do not count where the record was Failed.
// The error is for an order that could not be recorded; what became of the upload
// is in the Result.
func (s *Syncer) Repair(ctx context.Context, r Repair) (Result, error) {
	_, err := s.marks([]string{r.Entity})
	if err := errors.Join(err, r.validate()); err != nil {
		return Result{}, fmt.Errorf("repair: %w", err)
	}
	action := ActionRepair
	if r.Override {
		action = ActionOverride
	}
	err = s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		if err := s.MarkBatch(ctx, tx, r.Entity); err != nil {
			return err
		}
		if r.Override {
			if _, err := s.table.Exec(ctx, tx, "UPDATE {object} SET override = 1, touched = touched + 1 WHERE sync_name = ? AND entity = ?",
				s.cfg.Name, r.Entity); err != nil {
				return fmt.Errorf("override: %w", err)
			}
		}
		return s.table.act(ctx, tx, Action{Entity: r.Entity, Action: action, Actor: r.Actor, Note: r.Note})
	})
	if err != nil {
		return Result{}, fmt.Errorf("repair: %w", err)
	}
	return s.runNow(ctx, r.Entity), nil
}

func (t *table) act(ctx context.Context, x dbtx.Executor, a Action) error {
	_, err := t.Exec(ctx, x, "INSERT INTO {action} (sync_name, entity, action, actor, note, created_at) VALUES (?, ?, ?, ?, ?, {now})",
		t.name, a.Entity, a.Action, a.Actor, a.Note)
	if err != nil {
		return fmt.Errorf("record action: %w", err)
	}
	return nil
}

// Actions returns what was done by hand and by Reconcile, the newest first: of one entity, or
// of all where it is empty; those before the given ID, or the newest where that is 0; up to limit,
// 1 to 1000.
func (s *Syncer) Actions(ctx context.Context, entity string, before int64, limit int) ([]Action, error) {
	if limit < 1 || limit > maxPage {
		return nil, fmt.Errorf("limit: %d, use 1 to %d", limit, maxPage)
	}
	query, args := "SELECT id, entity, action, actor, note, created_at FROM {action} WHERE sync_name = ?", []any{s.cfg.Name}
	if entity != "" {
		query, args = query+" AND entity = ?", append(args, entity)
	}
	if before > 0 {
		query, args = query+" AND id < ?", append(args, before)
	}
	list, err := sqltable.Collect(ctx, &s.table.Tables, s.db, query+" ORDER BY id DESC LIMIT ?", append(args, limit), func(row dbtx.Row) (a Action, err error) {
		var at int64
		err = row.Scan(&a.ID, &a.Entity, &a.Action, &a.Actor, &a.Note, &at)
		a.At = sqltable.Time(at)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	return list, nil
}
