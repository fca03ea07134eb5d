// Package memory keeps idempotency records in a map.
package memory

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// Config configures New.
type Config struct {
	// Now is the store's clock. Default: time.Now.
	Now func() time.Time
}

// Store keeps records in a map, guarded by one lock. There is no goroutine:
// each call discards a few records whose time is over.
type Store struct {
	now func() time.Time

	mu   sync.Mutex
	rows map[string]map[string]*entry // by handler and ID
	held int
	ends ends
}

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{now: cfg.Now, rows: make(map[string]map[string]*entry)}
}

// Len returns how many records are held, those that are over but not yet
// discarded included.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// Claim asks for the record.
func (s *Store) Claim(ctx context.Context, c idemstore.Claim) (rec idemstore.Record, err error) {
	c, err = c.Normalize()
	if err != nil {
		return idemstore.Record{}, err
	}
	err = s.apply(ctx, c.Key, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		r, rec = r.Claim(c, now)
		return r, nil
	})
	return rec, err
}

// Extend lengthens the owner's lease.
func (s *Store) Extend(ctx context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if err := idemstore.CheckTerm("lease", lease); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Extend(token, lease, now)
	})
}

// Complete marks the owner's record done.
func (s *Store) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := idemstore.CheckTerm("retention", retention); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Complete(token, result, retention, now)
	})
}

// Release gives the owner's record up.
func (s *Store) Release(ctx context.Context, k idemstore.Key, token string) error {
	return s.change(ctx, k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Release(token, now)
	})
}

// Transition moves a record that nobody holds.
func (s *Store) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		return r.Transition(t, now)
	})
}

// change replaces the row of k by what fn makes of it, unless fn fails.
func (s *Store) change(ctx context.Context, k idemstore.Key, fn func(idemstore.Row, int64) (idemstore.Row, error)) error {
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	return s.apply(ctx, k, fn)
}

// apply is change for a key that is normalized.
func (s *Store) apply(ctx context.Context, k idemstore.Key, fn func(idemstore.Row, int64) (idemstore.Row, error)) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UnixMicro()
	s.discard(now)
	rows := s.rows[k.Handler]
	e := rows[k.ID]
	var row idemstore.Row
	if e != nil {
		row = e.row()
	}
	row, err = fn(row, now)
	if err != nil || row.State == idemstore.Absent {
		return err
	}
	if rows == nil {
		rows = make(map[string]*entry)
		s.rows[k.Handler] = rows
	}
	if e == nil {
		e = &entry{id: k.ID, in: rows}
		rows[k.ID] = e
		s.held++
	}
	e.keep(row)
	if !e.queued && row.ExpiresAt != 0 {
		e.queued, e.at = true, row.ExpiresAt
		heap.Push(&s.ends, e)
	}
	return nil
}

// discardAtOnce bounds the work of one call; it is more than one, so that a
// backlog shrinks while records are added.
const discardAtOnce = 4

// discard removes some records whose time is over. An entry stands in the heap
// where its record ended when it was queued; one that has been extended since
// is put where it ends now.
func (s *Store) discard(now int64) {
	for range discardAtOnce {
		if len(s.ends) == 0 || s.ends[0].at > now {
			return
		}
		e := s.ends[0]
		switch end := e.expiresAt; {
		case end == 0: // kept until it is moved again
			heap.Pop(&s.ends)
			e.queued = false
		case end > now:
			e.at = end
			heap.Fix(&s.ends, 0)
		default:
			heap.Pop(&s.ends)
			delete(e.in, e.id)
			s.held--
		}
	}
}

// entry is a record in few bytes and pointers: a store holds those of days, and
// the collector walks them all.
type entry struct {
	id                             string
	in                             map[string]*entry
	token                          string
	more                           *more // nil where there is none
	attempt, leaseUntil, expiresAt int64
	at                             int64 // its place in the heap
	state                          uint8
	queued                         bool
}

// more is what few records have.
type more struct {
	epoch       int64
	fingerprint string
	result      []byte
}

// states are numbered by their place.
var states = [...]idemstore.State{idemstore.Absent, idemstore.Processing, idemstore.Released, idemstore.Done, idemstore.Parked, idemstore.Dead, idemstore.Resumed}

func (e *entry) row() idemstore.Row {
	r := idemstore.Row{
		State: states[e.state], Token: e.token, Attempt: e.attempt, LeaseUntil: e.leaseUntil, ExpiresAt: e.expiresAt,
	}
	if e.more != nil {
		r.Epoch, r.Fingerprint, r.Result = e.more.epoch, e.more.fingerprint, e.more.result
	}
	return r
}

func (e *entry) keep(r idemstore.Row) {
	e.state = uint8(slices.Index(states[:], r.State)) //nolint:gosec // a handful
	e.token, e.attempt, e.leaseUntil, e.expiresAt, e.more = r.Token, r.Attempt, r.LeaseUntil, r.ExpiresAt, nil
	if r.Epoch != 0 || r.Fingerprint != "" || r.Result != nil {
		e.more = &more{r.Epoch, r.Fingerprint, r.Result}
	}
}

type ends []*entry

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].at < h[j].at }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ends) Push(x any) {
	if e, ok := x.(*entry); ok {
		*h = append(*h, e)
	}
}
func (h *ends) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	return e
}
