package storetest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
)

// flawed is a store that goes by the rules of idemstore.Row except for its
// flaws. A nil flaw is none.
type flawed struct {
	key        func(idemstore.Key) any                                           // under which a record is kept
	claim      func(old, row idemstore.Row, rec *idemstore.Record) idemstore.Row // what is written and answered
	write      func(old, row idemstore.Row) idemstore.Row                        // what any operation writes
	token      func(row idemstore.Row, token string) string                      // whom an owner's operation takes the caller for
	asked      func(idemstore.Claim) idemstore.Claim                             // what a claim is taken for
	moved      func(idemstore.Transition, idemstore.Row) idemstore.Transition
	gap        bool // between reading and writing
	silentAway bool // answers while it is away
	leaseless  bool // moves a record whatever its lease

	clock *atomic.Int64
	away  atomic.Bool
	mu    sync.Mutex
	rows  map[any]idemstore.Row
}

func (s *flawed) now() int64 { return 1_800_000_000_000_000 + s.clock.Load()/1000 }

var meet = make(chan struct{})

var errAway = failure.Unavailable(errors.New("away"))

func (s *flawed) change(ctx context.Context, k idemstore.Key, fn func(idemstore.Row) (idemstore.Row, error)) error {
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.away.Load() {
		if s.silentAway {
			return nil
		}
		return errAway
	}
	at := any(k)
	if s.key != nil {
		at = s.key(k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.rows[at]
	if s.gap {
		s.mu.Unlock()
		alone := time.NewTimer(200 * time.Millisecond)
		select { // two that have read the same may both write
		case meet <- struct{}{}:
		case <-meet:
		case <-alone.C:
		}
		alone.Stop()
		s.mu.Lock()
	}
	row, err := fn(old)
	if err != nil || row.State == idemstore.Absent {
		return err
	}
	if s.write != nil {
		row = s.write(old, row)
	}
	s.rows[at] = row
	return nil
}

func (s *flawed) Claim(ctx context.Context, c idemstore.Claim) (rec idemstore.Record, err error) {
	c, err = c.Normalize()
	if err != nil {
		return rec, err
	}
	if s.asked != nil {
		c = s.asked(c)
	}
	err = s.change(ctx, c.Key, func(old idemstore.Row) (row idemstore.Row, err error) {
		row, rec = old.Claim(c, s.now())
		if s.claim != nil {
			row = s.claim(old, row, &rec)
		}
		return row, nil
	})
	return rec, err
}

func (s *flawed) owner(row idemstore.Row, token string) string {
	if s.token != nil {
		return s.token(row, token)
	}
	return token
}

func (s *flawed) Extend(ctx context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if err := idemstore.CheckTerm("lease", lease); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row) (idemstore.Row, error) { return r.Extend(s.owner(r, token), lease, s.now()) })
}

func (s *flawed) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := idemstore.CheckTerm("retention", retention); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row) (idemstore.Row, error) {
		return r.Complete(s.owner(r, token), result, retention, s.now())
	})
}

func (s *flawed) Release(ctx context.Context, k idemstore.Key, token string) error {
	return s.change(ctx, k, func(r idemstore.Row) (idemstore.Row, error) { return r.Release(s.owner(r, token), s.now()) })
}

func (s *flawed) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return s.change(ctx, k, func(r idemstore.Row) (idemstore.Row, error) {
		if s.leaseless {
			r.LeaseUntil = 0
		}
		if s.moved != nil {
			t = s.moved(t, r)
		}
		return r.Transition(t, s.now())
	})
}

func harness(build func() *flawed) storetest.Harness {
	return storetest.Harness{New: func(*testing.T) storetest.Fixture {
		s := build()
		s.clock, s.rows = &atomic.Int64{}, map[any]idemstore.Row{}
		other := &flawed{clock: s.clock, rows: map[any]idemstore.Row{}}
		return storetest.Fixture{
			Store: s, Other: other,
			Advance: func(d time.Duration) { s.clock.Add(int64(d)) },
			Away: func() func() {
				s.away.Store(true)
				return func() { s.away.Store(false) }
			},
		}
	}}
}

func TestTheSuitePassesAStoreWithoutAFlaw(t *testing.T) {
	if failing := storetest.Failing(t, harness(func() *flawed { return &flawed{} })); len(failing) > 0 {
		t.Fatalf("failing: %q", failing)
	}
}

// The harness of a wall clock on a machine that is slow at first: more time
// passes than the case lets pass. It passes only because such a case runs again.
func TestACaseThatASlowMachineSpoiltRunsAgain(t *testing.T) {
	h := harness(func() *flawed { return &flawed{} })
	h.RealTime, h.Unit = true, 3*time.Millisecond
	fresh := h.New
	late := 0
	h.New = func(t *testing.T) storetest.Fixture {
		t.Helper()
		f := fresh(t)
		late++
		if late%2 == 1 {
			advance := f.Advance
			f.Advance = func(d time.Duration) {
				<-time.After(d + h.Unit)
				advance(4 * d)
			}
		}
		return f
	}
	storetest.Run(t, h)
}
