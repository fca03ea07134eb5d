package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// The reasons for a Skip.
var (
	errTaken   = errors.New("it is not dead any more: somebody else was quicker")
	errWaiting = errors.New("a message with its key waits for the handler already")
	errHandler = errors.New("it does not say which handler failed")
)

// tries bounds how often a lost race for rows is run again.
const tries = 5

// hand hands letters over in one transaction, or, where that cannot be, each in
// one of its own: whatever is wrong with one must not keep back the others.
func (r *redrive) hand(ctx context.Context, letters []Letter) error {
	if len(letters) > 1 {
		err := r.together(ctx, letters)
		if err == nil {
			for _, l := range letters {
				r.done(l)
			}
			return nil
		}
		if !r.desk.alone(err) {
			return err
		}
	}
	for _, l := range letters {
		err := r.single(ctx, l)
		switch {
		case err == nil:
			r.done(l)
		case skips(err):
			r.skip(l, err.Error())
		default:
			return fmt.Errorf("letter %d: %w", l.ID, err)
		}
	}
	return nil
}

// skips reports whether err is about the one letter.
func skips(err error) bool {
	return errors.Is(err, errTaken) || errors.Is(err, errWaiting) || errors.Is(err, errHandler) ||
		errors.Is(err, idemstore.ErrConflict) || errors.Is(err, idemstore.ErrInvalid) || errors.Is(err, schedule.ErrInvalid)
}

// alone reports whether letters that failed with err together may do so one by one.
func (d *Desk) alone(err error) bool { return skips(err) || d.contended(err) }

func (d *Desk) contended(err error) bool {
	return errors.Is(err, idemstore.ErrContended) || errors.Is(err, schedule.ErrContended) || d.store.dialect.IsContention(err)
}

func (r *redrive) together(ctx context.Context, letters []Letter) error {
	return r.desk.runner.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		if err := r.mark(ctx, tx, letters); err != nil {
			return err
		}
		for _, l := range letters {
			if err := r.add(ctx, tx, l, l.Epoch); err != nil {
				return err
			}
		}
		return nil
	})
}

// single hands one letter over. Where its record is in another epoch than the
// letter says, it tries the next one, and that of a record that has expired.
func (r *redrive) single(ctx context.Context, l Letter) (err error) {
	epochs := []int64{l.Epoch, l.Epoch + 1, 0}
	if l.Epoch == 0 {
		epochs = epochs[:2]
	}
	for _, epoch := range epochs {
		for try := range tries {
			err = r.desk.runner.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
				if err := r.mark(ctx, tx, []Letter{l}); err != nil {
					return err
				}
				return r.add(ctx, tx, l, epoch)
			})
			if !r.desk.contended(err) {
				break
			}
			if err := backoff.Wait(ctx, backoff.Half(time.Duration(try+1)*10*time.Millisecond)); err != nil {
				return err
			}
		}
		if !errors.Is(err, idemstore.ErrConflict) {
			return err
		}
	}
	return err
}

// mark compares and sets the status of the letters.
func (r *redrive) mark(ctx context.Context, tx dbtx.Tx, letters []Letter) error {
	s := r.desk.store
	set := "UPDATE " + s.table + " SET status = ?, redrive_id = ?, redriven_at = " + s.dialect.Now()
	args := []any{string(Redriven), r.result.ID}
	if e := r.req.Edit; e != nil {
		headers, err := header.Encode(e.Metadata)
		if err != nil {
			return err
		}
		set += ", edited_payload = ?, edited_headers = ?"
		args = append(args, slices.Concat([]byte{}, e.Payload), headers)
	}
	ids := make([]int64, len(letters))
	for i, l := range letters {
		ids[i] = l.ID
	}
	query, args := s.byID(set, ids, args...)
	res, err := tx.ExecContext(ctx, s.dialect.Bind(query+" AND status = ?"), append(args, string(Dead))...)
	if err != nil {
		return fmt.Errorf("mark letters: %w", err)
	}
	switch n, err := res.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("mark letters: %w", err)
	case n != int64(len(ids)):
		return errTaken
	}
	return nil
}

// add puts the task of a letter into the schedule and parks its record.
func (r *redrive) add(ctx context.Context, tx dbtx.Tx, l Letter, epoch int64) error {
	if l.Handler == "" {
		return errHandler
	}
	e := parked.Envelope{
		UUID: l.Message.UUID, Metadata: l.Message.Metadata, Payload: l.Message.Payload, Consumer: l.Consumer, Handler: l.Handler,
		Topic: l.Topic, Subscriber: l.Subscriber, Key: l.Key, Epoch: epoch + 1, Letter: l.ID, Attempts: l.Attempts,
	}
	if r.req.Edit != nil {
		e.Payload, e.Metadata = r.req.Edit.Payload, r.req.Edit.Metadata
	}
	e.Order = e.Metadata.Get(header.Key)
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	// The task first: where there is one, the record is left as it is, also in
	// a store that takes no part in this transaction.
	added, err := r.desk.tasks.RedriveTx(ctx, tx, schedule.Spec{
		Queue: parked.Queue, Target: e.Target(), Key: e.TaskKey(), Group: e.Order, Payload: payload, Error: l.Reason,
	})
	if err != nil {
		return err
	}
	if !added {
		return errWaiting
	}
	return r.desk.park(ctx, tx, l, epoch)
}

// park moves the record of a letter into the next epoch. That it is parked
// already without a task is what a crash leaves that came between a store
// elsewhere and the commit here.
func (d *Desk) park(ctx context.Context, tx dbtx.Tx, l Letter, epoch int64) error {
	if l.Key == "" {
		return nil // it failed before it had a key: there is no record
	}
	t := idemstore.Transition{
		From: []idemstore.State{idemstore.Dead, idemstore.Released, idemstore.Processing, idemstore.Parked},
		To:   idemstore.Parked, Epoch: epoch, NextEpoch: true,
	}
	if epoch == 0 {
		t.From = append(t.From, idemstore.Absent)
	}
	k := idemstore.Key{Handler: l.Scope(), ID: l.Key}
	switch {
	case d.cfg.Inbox != nil:
		return d.cfg.Inbox.TransitionTx(ctx, tx, k, t)
	case d.cfg.Records != nil:
		return d.cfg.Records.Transition(ctx, k, t)
	}
	return nil
}
