package deadletter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxIDs is how many ids a Selection names at most.
const MaxIDs = 10_000

// maxSample is how many letters a Plan shows.
const maxSample = 5

// Selection says which letters: exactly one of its fields is set.
type Selection struct {
	// IDs names them, at most 10,000. Each must be there and be dead.
	IDs []int64 `json:"ids,omitempty"`
	// Filter selects them: a pointer, so that all letters are meant only where
	// that is said. Newest, Limit and Brief are ignored.
	Filter *Filter `json:"filter,omitempty"`
}

// Plan is what an action on a Selection would do now: a dry run.
type Plan struct {
	// Count is how many letters are selected.
	Count int64
	// Stale is how many of them are older than DeskConfig.Retention: their effect
	// may have happened, and be forgotten.
	Stale int64
	// Sample is the first few, without payload, metadata and attempts.
	Sample []Letter
	// Confirm is a request's Confirm: the action then covers what was counted
	// here, and is refused where the selection has changed.
	Confirm string
}

// chosen is a checked selection, bound to the letters that are there now.
type chosen struct {
	ids    []int64 // or
	filter Filter  // with Before behind the last letter
	count  int64
	text   string // for the record
	upTo   int64
}

// Plan is the dry run of Redrive: it changes nothing.
func (d *Desk) Plan(ctx context.Context, sel Selection) (Plan, error) { return d.plan(ctx, sel, true) }

func (d *Desk) plan(ctx context.Context, sel Selection, must bool) (Plan, error) {
	c, err := d.choose(ctx, sel, "", must)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	p := Plan{Count: c.count, Confirm: c.token()}
	now, err := d.store.now(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	limit := time.UnixMicro(now).Add(-d.cfg.Retention)
	sample := c.ids
	if sample == nil {
		f := c.filter
		f.Limit, f.Brief = maxSample, true
		if p.Sample, err = d.store.List(ctx, f); err != nil {
			return Plan{}, err
		}
		if f.To.IsZero() || f.To.After(limit) {
			f.To = limit
		}
		if f.From.IsZero() || f.From.Before(f.To) {
			p.Stale, err = d.store.Count(ctx, f)
		}
		return p, err
	}
	for part := range slices.Chunk(sample, MaxLimit) {
		letters, err := d.store.load(ctx, part, Filter{Brief: true})
		if err != nil {
			return Plan{}, fmt.Errorf("plan: %w", err)
		}
		for _, l := range letters {
			if l.At.Before(limit) {
				p.Stale++
			}
		}
		p.Sample = append(p.Sample, letters[:min(len(letters), maxSample-len(p.Sample))]...)
	}
	return p, nil
}

// choose checks a selection. must says that the letters have to be dead, and
// confirm, where it is not empty, is the token of a Plan for it.
func (d *Desk) choose(ctx context.Context, sel Selection, confirm string, must bool) (chosen, error) {
	switch {
	case (len(sel.IDs) == 0) == (sel.Filter == nil):
		return chosen{}, fmt.Errorf("%w: Selection.IDs, Selection.Filter: set exactly one of them", ErrInvalid)
	case len(sel.IDs) > MaxIDs:
		return chosen{}, fmt.Errorf("%w: Selection.IDs: %d are more than %d; use a filter", ErrInvalid, len(sel.IDs), MaxIDs)
	}
	var c chosen
	var err error
	if sel.Filter == nil {
		c, err = d.chooseIDs(ctx, sel.IDs, must)
	} else {
		c, err = d.chooseFilter(ctx, *sel.Filter, confirm, must)
	}
	if err != nil {
		return chosen{}, err
	}
	if confirm != "" && confirm != c.token() {
		return chosen{}, fmt.Errorf("%w: Confirm: is not of this selection as it is now (%d letters); plan it again", ErrConfirm, c.count)
	}
	return c, nil
}

func (d *Desk) chooseFilter(ctx context.Context, f Filter, confirm string, must bool) (chosen, error) {
	f, err := f.selects().check()
	if err != nil {
		return chosen{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if must && f.Status != Dead {
		return chosen{}, fmt.Errorf("%w: Filter.Status: %q cannot be redriven, only %q", ErrInvalid, f.Status, Dead)
	}
	text, err := json.Marshal(Selection{Filter: &f})
	if err != nil {
		return chosen{}, fmt.Errorf("encode selection: %w", err)
	}
	c := chosen{text: string(text)}
	// What comes later, such as a redriven letter that failed again, is not meant.
	if confirm != "" {
		c.upTo = tokenUpTo(confirm)
	}
	if c.upTo == 0 {
		found, err := d.store.queryInts(ctx, 1, "SELECT COALESCE(MAX(id), 0) FROM "+d.store.table)
		if err != nil {
			return chosen{}, fmt.Errorf("find the last letter: %w", err)
		}
		c.upTo = found[0][0]
	}
	if f.Before == 0 || f.Before > c.upTo {
		f.Before = c.upTo + 1
	}
	c.filter = f
	if f.Before > f.After+1 {
		if c.count, err = d.store.Count(ctx, f); err != nil {
			return chosen{}, err
		}
	}
	if c.count == 0 {
		return chosen{}, fmt.Errorf("%w: Selection.Filter", ErrNoMatch)
	}
	return c, nil
}

func (d *Desk) chooseIDs(ctx context.Context, ids []int64, must bool) (chosen, error) {
	given := ids
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	states := make(map[int64]Status, len(ids))
	for part := range slices.Chunk(ids, MaxLimit) {
		letters, err := d.store.load(ctx, part, Filter{Brief: true})
		if err != nil {
			return chosen{}, fmt.Errorf("look at letters: %w", err)
		}
		for _, l := range letters {
			states[l.ID] = l.Status
		}
	}
	var errs []error
	for i, id := range given {
		switch status, ok := states[id]; {
		case len(errs) == 10: // enough to see what is wrong
		case !ok:
			errs = append(errs, fmt.Errorf("Selection.IDs[%d]: %w: %d", i, ErrNotFound, id))
		case must && status != Dead:
			errs = append(errs, fmt.Errorf("Selection.IDs[%d]: %w: %d is %s", i, ErrStatus, id, status))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return chosen{}, err
	}
	text, err := json.Marshal(Selection{IDs: ids})
	if err != nil {
		return chosen{}, fmt.Errorf("encode selection: %w", err)
	}
	return chosen{ids: ids, count: int64(len(ids)), text: string(text)}, nil
}

// token names a selection, how many letters it has and up to which id.
func (c chosen) token() string {
	sum := sha256.Sum256([]byte(c.text))
	return fmt.Sprintf("%d-%d-%s", c.count, c.upTo, hex.EncodeToString(sum[:6]))
}

// tokenUpTo returns 0 for what is no token.
func tokenUpTo(token string) int64 {
	var count, upTo int64
	var sum string
	if n, err := fmt.Sscanf(token, "%d-%d-%s", &count, &upTo, &sum); n != 3 || err != nil || upTo < 0 {
		return 0
	}
	return upTo
}

// each calls fn with the ids of c, Batch of them at a time and of at most
// batchBytes together, until there are none left or fn returns an error. size
// is asked before each.
func (d *Desk) each(ctx context.Context, c chosen, size int, fn func(ids []int64) error) error {
	f, rest := c.filter, c.ids
	for {
		var ids []int64
		var next int64
		if c.ids != nil {
			ids = rest[:min(size, len(rest))]
			rest = rest[len(ids):]
			next = int64(len(rest))
		} else {
			f.Limit = size
			var err error
			if ids, next, err = d.store.ids(ctx, f); err != nil {
				return fmt.Errorf("list letters: %w", err)
			}
			f = f.next(next)
		}
		if err := d.store.eachPart(ctx, ids, fn); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
	}
}

// batchBytes bounds what is held in memory of a batch, but for one letter that
// alone is larger.
const batchBytes = 8 << 20

// eachPart calls fn with parts of ids that are no larger than batchBytes.
func (s *SQLStore) eachPart(ctx context.Context, ids []int64, fn func(ids []int64) error) error {
	if len(ids) == 0 {
		return nil
	}
	length := "LENGTH"
	if s.dialect == PostgreSQL {
		length = "OCTET_LENGTH"
	}
	query, args := s.byID("SELECT id, COALESCE("+length+"(payload), 0) + "+length+"(headers) + "+length+"(attempts) FROM "+s.table, ids)
	found, err := s.queryInts(ctx, 2, query+" ORDER BY id", args...)
	if err != nil {
		return fmt.Errorf("measure letters: %w", err)
	}
	var part []int64
	var bytes int64
	for _, row := range found {
		if len(part) > 0 && bytes+row[1] > batchBytes {
			if err := fn(part); err != nil {
				return err
			}
			part, bytes = nil, 0
		}
		part, bytes = append(part, row[0]), bytes+row[1]
	}
	if len(part) == 0 {
		return nil
	}
	return fn(part)
}
