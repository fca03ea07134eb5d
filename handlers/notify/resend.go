package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
)

// errMoved says that somebody else was quicker.
var errMoved = errors.New("notification has changed meanwhile")

// tries bounds how often a notification that has changed meanwhile is looked at again.
const tries = 5

// Resend has a notification POSTed again from the beginning of the schedule, whatever
// its status, with the same webhook-id; one whose target is disabled is held again. by is who
// did it, for Actions. ErrNotFound where there is none.
func (n *Notifier) Resend(ctx context.Context, target, id, by string) error {
	if err := actor(by); err != nil {
		return err
	}
	for range tries {
		r, err := n.Get(ctx, target, id)
		if err != nil {
			return err
		}
		if err = n.again(ctx, r, by); err == nil {
			n.Wake()
			return nil
		}
		if !errors.Is(err, errMoved) {
			return fmt.Errorf("resend notification: %w", err)
		}
	}
	return fmt.Errorf("resend notification: %w", errMoved)
}

// again begins a new round.
func (n *Notifier) again(ctx context.Context, r Record, by string) error {
	uid := uidOf(r.Target, r.ID)
	return n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		rows, err := n.db.Exec(ctx, tx, "UPDATE {message} SET status = 'waiting', round = round + 1, base = attempts, since_at = 0, next_at = {now}, "+
			"finished_at = 0, confirmed_at = 0, updated_at = {now} WHERE uid = ? AND round = ?", uid, r.round)
		if err != nil {
			return err
		}
		if rows == 0 {
			return errMoved
		}
		if err := n.addTask(ctx, tx, r.Target, uid, r.round+1, r.Attempts); err != nil {
			return err
		}
		return n.note(ctx, tx, Action{By: by, What: "resend", Target: r.Target, Request: r.ID, Detail: "it was " + string(r.Status)})
	})
}

// Window says which notifications ResendWindow sends again.
type Window struct {
	// Target is required.
	Target string
	// From and To bound the time at which they were enqueued: From is in, To is
	// not. Both are required.
	From, To time.Time
	// Statuses are those to send again. Default: Stopped.
	Statuses []Status
	// DryRun counts and sends nothing.
	DryRun bool
}

// ResendWindow is Resend of all that are in the window, one by one, and returns how
// many. An error comes with the number of those that were sent before it.
func (n *Notifier) ResendWindow(ctx context.Context, w Window, by string) (sent int, err error) {
	if len(w.Statuses) == 0 {
		w.Statuses = []Status{Stopped}
	}
	f := Filter{Target: w.Target, Statuses: w.Statuses, From: w.From, To: w.To, Limit: 200}
	errs := []error{actor(by), f.validate()}
	if w.From.IsZero() || w.To.IsZero() {
		errs = append(errs, invalid("Window.From, Window.To: both are needed"))
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	defer n.Wake()
	for {
		page, err := n.list(ctx, f, "NULL")
		if err != nil {
			return sent, err
		}
		for _, r := range page {
			if !w.DryRun {
				switch err := n.again(ctx, r, by); {
				case errors.Is(err, errMoved), errors.Is(err, ErrNotFound):
					continue
				case err != nil:
					return sent, fmt.Errorf("resend notification: %w", err)
				}
			}
			sent++
		}
		if len(page) < f.Limit {
			return sent, nil
		}
		f.After = page[len(page)-1]
	}
}

// Confirm says that the partner knows, which ends a notification whatever its status; a POST
// that is under way is not waited for. by is who says so. ErrNotFound where there is none.
func (n *Notifier) Confirm(ctx context.Context, target, id, by string) error {
	if err := actor(by); err != nil {
		return err
	}
	r, err := n.Get(ctx, target, id)
	if err != nil {
		return err
	}
	err = n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		rows, err := n.db.Exec(ctx, tx, "UPDATE {message} SET status = 'confirmed', next_at = 0, confirmed_at = {now}, "+
			"finished_at = CASE WHEN finished_at = 0 THEN {now} ELSE finished_at END, updated_at = {now} WHERE uid = ? AND status <> 'confirmed'", uidOf(target, id))
		if err != nil || rows == 0 { // confirmed already
			return err
		}
		return n.note(ctx, tx, Action{By: by, What: "confirm", Target: target, Request: id, Detail: "it was " + string(r.Status)})
	})
	if err != nil {
		return fmt.Errorf("confirm notification: %w", err)
	}
	return nil
}
