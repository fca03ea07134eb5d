package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/header"
)

// maxSkips is how many skipped letters a Result names.
const maxSkips = 20

// RedriveRequest asks to hand letters to their handlers again.
type RedriveRequest struct {
	Selection Selection
	// By is who asks, 1 to 255 bytes; Note is why, at most 4 KiB. Both are
	// recorded. By is required.
	By, Note string
	// Confirm is that of a Plan. Default: what the selection is now.
	Confirm string
	// Rate is how many letters a second are handed over at most. Default: no
	// limit.
	Rate float64
	// Edit is handed over in the place of what was received. Selection.IDs must
	// then name one letter.
	Edit *Edit
	// Progress is told after every batch, on this goroutine. Default: nobody.
	Progress func(Result)
}

// Skip is a letter that was left as it was.
type Skip struct {
	ID     int64
	Reason string
}

// Result is how far an action has come, or how it ended.
type Result struct {
	Action
	// Skips are the first 20 letters that were skipped: of somebody who was
	// quicker, of a message that waits for its handler already, or whose effect
	// is there.
	Skips []Skip
}

// Warning says that letters were redriven that are older than what the
// idempotency records remember: a duplicate of them may have run since.
func (r Result) Warning() error {
	if r.Stale == 0 {
		return nil
	}
	return &StaleError{Count: r.Stale}
}

// StaleError is the warning of Result.Warning.
type StaleError struct{ Count int64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("%d letters are older than the retention of the idempotency records: their effect may have happened, and be forgotten", e.Count)
}

// Redrive hands the selected letters to their handlers again, each to the one
// that failed and not to its topic. In one transaction a letter becomes
// Redriven, its inbox record is parked in its next epoch, and a task is added to
// the schedule, whose worker calls the handler; so a letter is handed over once,
// whoever else redrives it at the same time, or a second time.
//
// Letters that come up later are not meant, so that one that fails again is not
// redriven for ever. It ends with ctx, or with Cancel, after the batch at hand;
// what was done stays done, and the same request does the rest. The Result is
// then returned with the error.
func (d *Desk) Redrive(ctx context.Context, req RedriveRequest) (Result, error) {
	if err := req.check(); err != nil {
		return Result{}, fmt.Errorf("redrive: %w", err)
	}
	c, err := d.choose(ctx, req.Selection, req.Confirm, true)
	if err != nil {
		return Result{}, fmt.Errorf("redrive: %w", err)
	}
	if req.Edit != nil {
		l, err := d.store.Get(ctx, c.ids[0])
		if err != nil {
			return Result{}, fmt.Errorf("redrive: %w", err)
		}
		if req.Edit, err = d.edit(l, *req.Edit); err != nil {
			return Result{}, fmt.Errorf("redrive: %w", err)
		}
	}
	now, err := d.store.now(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("redrive: %w", err)
	}
	a, err := d.begin(ctx, Action{Kind: KindRedrive, By: req.By, Note: req.Note, Selection: c.text, Total: c.count})
	if err != nil {
		return Result{}, fmt.Errorf("redrive: %w", err)
	}
	r := &redrive{desk: d, req: req, result: Result{Action: a}, stale: time.UnixMicro(now).Add(-d.cfg.Retention), start: time.Now()}
	err = d.each(ctx, c, r.size(), func(ids []int64) error { return r.batch(ctx, ids) })
	r.result.Action, err = d.finish(ctx, r.result.Action, err)
	if err != nil {
		return r.result, fmt.Errorf("redrive: %w", err)
	}
	return r.result, nil
}

func (r RedriveRequest) check() error {
	errs := actor(r.By, r.Note)
	if r.Rate < 0 || math.IsNaN(r.Rate) || math.IsInf(r.Rate, 0) || r.Rate > 0 && r.Rate < minRate {
		errs = append(errs, fmt.Errorf("%w: Rate: %v letters/s: use at least %v, or 0 for no limit", ErrInvalid, r.Rate, minRate))
	}
	if r.Edit != nil {
		if len(r.Selection.IDs) != 1 || r.Selection.Filter != nil {
			errs = append(errs, fmt.Errorf("%w: Edit: Selection.IDs must name the one letter", ErrInvalid))
		}
		if r.Edit.Payload == nil && r.Edit.Metadata == nil {
			errs = append(errs, fmt.Errorf("%w: Edit: changes neither payload nor metadata", ErrInvalid))
		}
	}
	return errors.Join(errs...)
}

// minRate is one letter a day.
const minRate = 1.0 / (24 * 60 * 60)

// edit returns the whole of an edited message, and refuses another key: the
// record of the effect would not be found under it.
func (d *Desk) edit(l Letter, e Edit) (*Edit, error) {
	if e.Payload == nil {
		e.Payload = l.Message.Payload
	}
	if e.Metadata == nil {
		e.Metadata = l.Message.Metadata
	}
	if d.cfg.Key == nil {
		for _, name := range header.KeySources() {
			if e.Metadata.Get(name) != l.Message.Metadata.Get(name) {
				return nil, fmt.Errorf("%w: Edit.Metadata: %s is part of the idempotency key, which must not change", ErrInvalid, name)
			}
		}
		return &e, nil
	}
	before, err := d.cfg.Key(l.Message)
	if err != nil {
		return &e, nil //nolint:nilerr // a message without a key has none to change
	}
	edited := message.NewMessage(l.Message.UUID, e.Payload)
	edited.Metadata = e.Metadata
	if after, err := d.cfg.Key(edited); err != nil || after != before {
		return nil, fmt.Errorf("%w: Edit: the idempotency key would change", ErrInvalid)
	}
	return &e, nil
}

// redrive is one at work.
type redrive struct {
	desk   *Desk
	req    RedriveRequest
	result Result
	stale  time.Time // letters from before are
	start  time.Time
	begun  int64
}

// size is how many letters are handed over at a time: those of half a second
// where there is a rate.
func (r *redrive) size() int {
	if r.req.Rate <= 0 {
		return r.desk.cfg.Batch
	}
	return max(1, int(min(r.req.Rate/2, float64(r.desk.cfg.Batch))))
}

func (r *redrive) batch(ctx context.Context, ids []int64) error {
	if r.req.Rate > 0 {
		due := time.Duration(float64(r.begun) / r.req.Rate * float64(time.Second))
		if err := r.wait(ctx, r.start.Add(due)); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.begun += int64(len(ids))
	letters, err := r.desk.store.load(ctx, ids, Filter{})
	if err != nil {
		return fmt.Errorf("load letters: %w", err)
	}
	if err := r.hand(ctx, letters); err != nil {
		return err
	}
	if gone := len(ids) - len(letters); gone > 0 {
		r.result.Skipped += int64(gone)
	}
	if r.req.Progress != nil {
		r.req.Progress(r.result)
	}
	return r.desk.report(ctx, r.result.Action)
}

// lookEvery is how often a redrive that waits for its rate looks whether it was
// cancelled, and says that it is alive.
const lookEvery = time.Second

// wait waits until the next letters are due: for a day, where the rate is low.
func (r *redrive) wait(ctx context.Context, due time.Time) error {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		if err := backoff.Wait(ctx, min(left, lookEvery)); err != nil {
			return err
		}
		if err := r.desk.report(ctx, r.result.Action); err != nil {
			return err
		}
	}
	return nil
}

func (r *redrive) done(l Letter) {
	r.result.Done++
	if l.At.Before(r.stale) {
		r.result.Stale++
	}
}

func (r *redrive) skip(l Letter, reason string) {
	r.result.Skipped++
	if len(r.result.Skips) < maxSkips {
		r.result.Skips = append(r.result.Skips, Skip{ID: l.ID, Reason: reason})
	}
}
