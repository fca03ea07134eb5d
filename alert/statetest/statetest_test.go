package statetest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/statetest"
)

func memory(*testing.T) statetest.Fixture { return over(alert.NewMemory()) }

// over lets time pass in a bubble.
func over(s alert.State) statetest.Fixture {
	return statetest.Fixture{State: s, Advance: func(d time.Duration) { <-time.After(d) }}
}

func TestMemoryConforms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if failing := statetest.Failing(t, statetest.Harness{New: memory}); len(failing) > 0 {
			t.Fatalf("%q", failing)
		}
	})
}

// flawed is a memory with a flaw. A nil flaw is none.
type flawed struct {
	alert.State
	get    func(alert.Row) alert.Row
	put    func(s alert.State, row alert.Row) error
	remove func(s alert.State, row alert.Row) error
	id     func(string) string
	list   func([]alert.Row) []alert.Row
	agenda func(alert.Agenda) alert.Agenda
	ctx    bool // looks at no context
}

func (f flawed) context(ctx context.Context) context.Context {
	if f.ctx {
		return context.Background()
	}
	return ctx
}

func (f flawed) name(id string) string {
	if f.id != nil {
		return f.id(id)
	}
	return id
}

func (f flawed) Get(ctx context.Context, kind alert.Kind, id string) (alert.Row, time.Time, error) {
	row, now, err := f.State.Get(f.context(ctx), kind, f.name(id))
	if f.get != nil {
		row = f.get(row)
	}
	return row, now, err
}

func (f flawed) Put(ctx context.Context, row alert.Row) error {
	row.ID = f.name(row.ID)
	if f.put != nil && ctx.Err() == nil {
		return f.put(f.State, row)
	}
	return f.State.Put(f.context(ctx), row)
}

func (f flawed) Delete(ctx context.Context, row alert.Row) error {
	if f.remove != nil && ctx.Err() == nil {
		return f.remove(f.State, row)
	}
	return f.State.Delete(f.context(ctx), row)
}

func (f flawed) List(ctx context.Context, kind alert.Kind, after string, limit int) ([]alert.Row, error) {
	rows, err := f.State.List(f.context(ctx), kind, after, limit)
	if f.list != nil {
		rows = f.list(rows)
	}
	return rows, err
}

func (f flawed) Agenda(ctx context.Context, limit int) (alert.Agenda, error) {
	a, err := f.State.Agenda(f.context(ctx), limit)
	if f.agenda != nil {
		a = f.agenda(a)
	}
	return a, err
}

// current returns row at the version that is kept.
func current(s alert.State, row alert.Row) alert.Row {
	have, _, _ := s.Get(context.Background(), row.Kind, row.ID)
	row.Version = have.Version
	return row
}

var ctx = context.Background()

var flaws = []struct {
	name, caught string
	flaw         func() flawed
}{
	{"does not compare versions", "a stale write changes nothing", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			if r.Version > 0 {
				r = current(s, r)
			}
			return s.Put(ctx, r)
		}}
	}},
	{"inserts over what is there", "what is there is not inserted again", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			if r.Version == 0 {
				r = current(s, r)
			}
			return s.Put(ctx, r)
		}}
	}},
	{"inserts where it should update", "what is not there is not written over", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			if current(s, r).Version == 0 {
				r.Version = 0
			}
			return s.Put(ctx, r)
		}}
	}},
	{"compares and writes apart", "of many writes at the same time one wins", func() flawed {
		var arrived atomic.Int64
		return flawed{put: func(s alert.State, r alert.Row) error {
			have := current(s, r).Version
			if arrived.Add(1); arrived.Load() < 8 && have == r.Version {
				<-time.After(time.Second)
			}
			if have != r.Version {
				return alert.ErrConflict
			}
			return s.Put(ctx, current(s, r))
		}}
	}},
	{"removes what has changed", "only the version that was read is removed", func() flawed {
		return flawed{remove: func(s alert.State, r alert.Row) error { return s.Delete(ctx, current(s, r)) }}
	}},
	{"removes silently", "only the version that was read is removed", func() flawed {
		return flawed{remove: func(s alert.State, r alert.Row) error { _ = s.Delete(ctx, r); return nil }}
	}},
	{"folds case", "upper and lower case differ, and so do spaces at the end", func() flawed { return flawed{id: strings.ToLower} }},
	{"trims spaces", "upper and lower case differ, and so do spaces at the end", func() flawed { return flawed{id: strings.TrimSpace} }},
	{"forgets due times", "a row is kept as it was put", func() flawed {
		return flawed{get: func(r alert.Row) alert.Row { r.Due = time.Time{}; return r }}
	}},
	{"keeps seconds only", "a row is kept as it was put", func() flawed {
		return flawed{get: func(r alert.Row) alert.Row {
			if !r.Due.IsZero() {
				r.Due = r.Due.Truncate(time.Second).Add(-time.Second)
			}
			return r
		}}
	}},
	{"cuts long documents", "a row is kept as it was put", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			r.Data = r.Data[:min(len(r.Data), 65_535)]
			return s.Put(ctx, r)
		}}
	}},
	{"counts no versions", "each write raises the version by one", func() flawed {
		return flawed{get: func(r alert.Row) alert.Row { r.Version = min(r.Version, 1); return r }}
	}},
	{"lists in any order", "rows are listed by kind, in the order of bytes, page by page", func() flawed {
		return flawed{list: func(r []alert.Row) []alert.Row { slices.Reverse(r); return r }}
	}},
	{"an agenda in any order", "the agenda has what is due, the longest due first, and when the next is", func() flawed {
		return flawed{agenda: func(a alert.Agenda) alert.Agenda { slices.Reverse(a.Rows); return a }}
	}},
	{"an agenda without what comes next", "the agenda has what is due, the longest due first, and when the next is", func() flawed {
		return flawed{agenda: func(a alert.Agenda) alert.Agenda { a.Next = time.Time{}; return a }}
	}},
	{"a clock that stands still", "the agenda has what is due, the longest due first, and when the next is", func() flawed {
		at := time.Now()
		return flawed{agenda: func(a alert.Agenda) alert.Agenda { a.Now = at; return a }}
	}},
	{"keeps the due time for ever", "a due time that is taken away is not in the agenda", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			if have, _, _ := s.Get(ctx, r.Kind, r.ID); r.Due.IsZero() {
				r.Due = have.Due
			}
			return s.Put(ctx, r)
		}}
	}},
	{"refuses nothing", "what cannot be kept is refused", func() flawed {
		return flawed{put: func(s alert.State, r alert.Row) error {
			if alert.CheckRow(r) != nil {
				return nil
			}
			return s.Put(ctx, r)
		}}
	}},
	{"looks at no context", "an ended context changes nothing", func() flawed { return flawed{ctx: true} }},
}

func TestTheSuiteCatchesBrokenStates(t *testing.T) {
	for _, f := range flaws {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := statetest.Failing(t, statetest.Harness{New: func(*testing.T) statetest.Fixture {
					flaw := f.flaw()
					flaw.State = alert.NewMemory()
					return over(flaw)
				}})
				if !slices.Contains(failing, f.caught) {
					t.Fatalf("caught by %q, not by %q", failing, f.caught)
				}
			})
		})
	}
}

func Example() {
	var t *testing.T // that of the test
	_ = func() {
		statetest.Run(t, statetest.Harness{New: memory})
	}
	fmt.Println("one case per guarantee")
	// Output: one case per guarantee
}
