package objectsync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Queue is the queue of the schedule in which the work waits; its target is
// Config.Name.
const Queue = "objectsync"

// Executor runs a statement in the caller's transaction; *sql.Tx is one.
type Executor = dbtx.Executor

// Mark notes in the caller's transaction that an entity's row has changed, was added,
// or is gone. What is uploaded is the row as it is after the commit. Marking again
// what is marked costs the same and changes nothing. Transactions that mark one entity wait
// for each other. An entity that cannot be part of a key gives a *KeyError, and
// nothing is written.
func (s *Syncer) Mark(ctx context.Context, tx Executor, entity string) error {
	return s.MarkBatch(ctx, tx, entity)
}

// MarkBatch marks many entities, in one order for everybody, so that two batches do
// not wait for each other in a circle. Where one cannot be marked none is, as long as
// the caller rolls back.
func (s *Syncer) MarkBatch(ctx context.Context, tx Executor, entities ...string) error {
	marks, err := s.marks(entities)
	if err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	for chunk := range slices.Chunk(marks, s.table.Dialect.InsertRows()) {
		if err := s.table.put(ctx, tx, chunk); err != nil {
			return fmt.Errorf("mark: %w", err)
		}
	}
	for _, m := range marks {
		// Where a task is there it has not been settled yet, and cannot be before this transaction
		// ends: its settlement changes the record, too, and finds another count of marks.
		if _, err := s.schedule.AddTx(ctx, tx, schedule.Spec{Queue: Queue, Target: s.cfg.Name, Key: m.entity}); err != nil {
			return fmt.Errorf("mark: %w", err)
		}
	}
	return nil
}

type mark struct{ entity, key string }

// marks checks the entities, naming each that is wrong by its place.
func (s *Syncer) marks(entities []string) ([]mark, error) {
	var errs []error
	out := make([]mark, 0, len(entities))
	for i, e := range entities {
		key, err := s.key(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("entities[%d]: %w", i, err))
			continue
		}
		out = append(out, mark{e, key})
	}
	slices.SortFunc(out, func(a, b mark) int { return strings.Compare(a.entity, b.entity) })
	return slices.Compact(out), errors.Join(errs...)
}

// put makes the records pending.
func (t *table) put(ctx context.Context, x dbtx.Executor, marks []mark) error {
	row, args := "(?, ?, ?, 'pending', 1, '', {now}, {now})", make([]any, 0, 3*len(marks))
	for _, m := range marks {
		args = append(args, t.name, m.entity, m.key)
	}
	query := "INSERT INTO {object} AS o (sync_name, entity, object_key, status, dirty, error, marked_at, updated_at) VALUES " +
		strings.TrimSuffix(strings.Repeat(row+", ", len(marks)), ", ")
	if t.Dialect == sqldialect.MySQL {
		query = strings.Replace(query, " AS o ", " ", 1) + " ON DUPLICATE KEY UPDATE dirty = dirty + 1, status = 'pending', " +
			"object_key = VALUES(object_key), marked_at = VALUES(marked_at), updated_at = VALUES(updated_at)"
	} else {
		query += " ON CONFLICT (sync_name, entity) DO UPDATE SET dirty = o.dirty + 1, status = 'pending', " +
			"object_key = excluded.object_key, marked_at = excluded.marked_at, updated_at = excluded.updated_at"
	}
	_, err := t.Exec(ctx, x, query, args...)
	return err
}

// Handler returns a function for Stack.Handle: each message marks the entity that
// entity finds for it, in the transaction of its dedup row. Messages may be repeated
// or reordered at will. An error of entity, and one that cannot be part of a key,
// is permanent: the message becomes a dead letter. Run does the rest.
func (s *Syncer) Handler(entity func(msg *message.Message) (string, error)) func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	return func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
		e, err := entity(msg)
		if err != nil {
			return failure.Permanent(fmt.Errorf("find entity of message: %w", err))
		}
		err = s.Mark(ctx, tx, e)
		if errors.Is(err, ErrKey) {
			return failure.Permanent(err)
		}
		return err
	}
}
