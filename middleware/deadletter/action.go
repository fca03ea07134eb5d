package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

// The kinds of actions.
const (
	KindRedrive = "redrive"
	KindDelete  = "delete"
	KindImport  = "import"
)

// State is where an action stands.
type State string

// The states. A process that dies leaves its action Running, with an UpdatedAt
// that no longer moves; the same request again does the rest.
const (
	Running   State = "running"
	Finished  State = "done"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// maxNote is how many bytes of a note, and of a selection, are kept.
const maxNote = 4096

// finishTimeout limits the writing of an action's end once its context is over.
const finishTimeout = 10 * time.Second

// Action is the record of what was done to letters, and by whom. It is never
// changed after its end, nor removed by this package.
type Action struct {
	ID int64
	// Kind is KindRedrive, KindDelete or KindImport.
	Kind string
	// By is who asked for it, and Note why, in their words.
	By, Note string
	// Selection is what was selected, as JSON; shortened to 4 KiB.
	Selection string
	State     State
	// Total is how many letters were selected at the beginning, Done how many
	// were redriven, deleted or imported, Skipped how many were not, and Stale
	// how many of Done were older than DeskConfig.Retention.
	Total, Done, Skipped, Stale int64
	// Error says why it failed.
	Error                string
	CreatedAt, UpdatedAt time.Time
	FinishedAt           time.Time // zero while it runs
}

const actionColumns = "id, kind, actor, note, selection, state, total, done, skipped, stale, error, created_at, updated_at, finished_at"

// Action returns one action, or an error that wraps ErrNotFound.
func (d *Desk) Action(ctx context.Context, id int64) (Action, error) {
	list, err := d.listActions(ctx, "WHERE id = ?", id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: action %d", ErrNotFound, id)
	}
	if err != nil {
		return Action{}, fmt.Errorf("get action: %w", err)
	}
	return list[0], nil
}

// Actions returns up to limit actions, the newest first: those with an id below
// before, or, where that is 0, the newest of all.
func (d *Desk) Actions(ctx context.Context, before int64, limit int) ([]Action, error) {
	switch {
	case before < 0:
		return nil, fmt.Errorf("list actions: %w: before: %d is negative", ErrInvalid, before)
	case limit < 1 || limit > MaxLimit:
		return nil, fmt.Errorf("list actions: %w: limit: %d is not within 1 and %d", ErrInvalid, limit, MaxLimit)
	}
	if before == 0 {
		before = math.MaxInt64
	}
	list, err := d.listActions(ctx, fmt.Sprintf("WHERE id < ? ORDER BY id DESC LIMIT %d", limit), before)
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	return list, nil
}

func (d *Desk) listActions(ctx context.Context, rest string, args ...any) (out []Action, err error) {
	rows, err := d.store.db.QueryContext(ctx, d.store.dialect.Bind("SELECT "+actionColumns+" FROM "+d.store.actions+" "+rest), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a Action
		var created, updated, finished int64
		err := rows.Scan(&a.ID, &a.Kind, &a.By, &a.Note, &a.Selection, &a.State, &a.Total, &a.Done, &a.Skipped, &a.Stale, &a.Error, &created, &updated, &finished)
		if err != nil {
			return nil, err
		}
		a.CreatedAt, a.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		if finished != 0 {
			a.FinishedAt = time.UnixMicro(finished).UTC()
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// Cancel has a running action end after the letters that it has at hand, in
// whichever process it runs. It returns ErrNotFound for an unknown action, and
// ErrInvalid for one that has ended.
func (d *Desk) Cancel(ctx context.Context, id int64) error {
	query := fmt.Sprintf("UPDATE %s SET state = '%s', updated_at = %s WHERE id = ? AND state = '%s'", d.store.actions, Cancelled, d.store.dialect.Now(), Running)
	res, err := d.store.db.ExecContext(ctx, d.store.dialect.Bind(query), id)
	if err != nil {
		return fmt.Errorf("cancel action %d: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	a, err := d.Action(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return fmt.Errorf("cancel action %d: %w: id: it is %s", id, ErrInvalid, a.State)
}

// actor checks who asks.
func actor(by, note string) (errs []error) {
	if by == "" || len(by) > maxColumn || text.Clean(by) != by {
		errs = append(errs, fmt.Errorf("%w: By: %d bytes: use 1 to %d of valid UTF-8; it is recorded who did it", ErrInvalid, len(by), maxColumn))
	}
	if len(note) > maxNote {
		errs = append(errs, fmt.Errorf("%w: Note: %d bytes are more than %d", ErrInvalid, len(note), maxNote))
	}
	return errs
}

// begin writes down that an action begins.
func (d *Desk) begin(ctx context.Context, a Action) (Action, error) {
	s := d.store
	now := s.dialect.Now()
	insert := "INSERT INTO " + s.actions + " (kind, actor, note, selection, state, total, error, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, '', " + now + ", " + now + ")"
	a.State, a.Note, a.Selection = Running, text.Clean(a.Note), text.Short(a.Selection, maxNote)
	args := []any{a.Kind, a.By, a.Note, a.Selection, string(a.State), a.Total}
	if s.dialect == PostgreSQL {
		if err := s.db.QueryRowContext(ctx, s.dialect.Bind(insert+" RETURNING id"), args...).Scan(&a.ID); err != nil {
			return a, fmt.Errorf("record action: %w", err)
		}
		return a, nil
	}
	res, err := s.db.ExecContext(ctx, insert, args...)
	if err != nil {
		return a, fmt.Errorf("record action: %w", err)
	}
	if a.ID, err = res.LastInsertId(); err != nil {
		return a, fmt.Errorf("record action: %w", err)
	}
	return a, nil
}

// report writes down how far a is, and returns ErrCancelled where it shall end.
func (d *Desk) report(ctx context.Context, a Action) error {
	s := d.store
	query := fmt.Sprintf("UPDATE %s SET total = ?, done = ?, skipped = ?, stale = ?, updated_at = %s WHERE id = ? AND state = '%s'", s.actions, s.dialect.Now(), Running)
	res, err := s.db.ExecContext(ctx, s.dialect.Bind(query), a.Total, a.Done, a.Skipped, a.Stale, a.ID)
	if err != nil {
		return fmt.Errorf("record progress: %w", err)
	}
	switch n, err := res.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("record progress: %w", err)
	case n == 0:
		return ErrCancelled
	}
	return nil
}

// finish writes down how a ended, also where ctx is over, and returns it with
// cause and what went wrong here.
func (d *Desk) finish(ctx context.Context, a Action, cause error) (Action, error) {
	switch {
	case cause == nil:
		a.State = Finished
	case errors.Is(cause, ErrCancelled) || ctx.Err() != nil:
		a.State = Cancelled
	default:
		a.State, a.Error = Failed, text.Short(cause.Error(), maxNote)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	s := d.store
	now := s.dialect.Now()
	query := "UPDATE " + s.actions + " SET state = ?, total = ?, done = ?, skipped = ?, stale = ?, error = ?, updated_at = " + now + ", finished_at = " + now + " WHERE id = ?"
	if _, err := s.db.ExecContext(ctx, s.dialect.Bind(query), string(a.State), a.Total, a.Done, a.Skipped, a.Stale, a.Error, a.ID); err != nil {
		return a, errors.Join(cause, fmt.Errorf("record the end of action %d: %w", a.ID, err))
	}
	return a, cause
}
