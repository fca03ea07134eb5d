package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind is a kind of row in a State.
type Kind string

// The kinds.
const (
	KindGroup    Kind = "group"    // alerts that are told together
	KindChannel  Kind = "channel"  // what was sent to a channel lately, and whether it holds or is broken
	KindSilence  Kind = "silence"  // what nobody wants to be told for a time
	KindWatchdog Kind = "watchdog" // when the next heartbeat is due
)

// MaxID is how many bytes the ID of a row has at most.
const MaxID = 128

// Row is one document of a State.
type Row struct {
	Kind Kind
	ID   string // 1 to MaxID bytes, of which upper and lower case differ
	// Version counts the writes: the fencing number of whoever read the row. 0
	// says that there is none.
	Version int64
	// Due is when someone must look at the row; the zero time: never. Kept to
	// the microsecond.
	Due time.Time
	// Data is the document, UTF-8 without NUL. A State never looks into it.
	Data []byte
}

// Agenda is what a State has to be looked at.
type Agenda struct {
	Now  time.Time // by the clock of the state
	Rows []Row     // those that are due, the longest due first
	Next time.Time // when the first of the others is due; zero: none is
}

// ErrConflict says that the row was written, or removed, since it was read, or
// that it is there already.
var ErrConflict = errors.New("alert state was changed by another")

// State is what replicas share, so that one of them decides and sends. It keeps
// rows and one clock, and compares versions before it writes; all else is the
// Notifier's. *Memory is the State of one process alone; package sqlstate keeps
// one in a database. All methods are safe for concurrent use, and end soon after
// their context. A third party proves its own by package statetest.
type State interface {
	// Get returns the row, or one with Version 0 where there is none, and the time
	// by the state's clock.
	Get(ctx context.Context, kind Kind, id string) (Row, time.Time, error)
	// Put writes the row and raises its version by one where row.Version is the
	// one that is kept, and inserts it with version 1 where that is 0 and there is
	// none. Otherwise it changes nothing and returns an error that is ErrConflict.
	Put(ctx context.Context, row Row) error
	// Delete removes the row where row.Version is the one that is kept; otherwise,
	// and where there is none, it returns an error that is ErrConflict.
	Delete(ctx context.Context, row Row) error
	// List returns at most limit rows of a kind, in the order of their IDs' bytes,
	// whose ID comes after the given one.
	List(ctx context.Context, kind Kind, after string, limit int) ([]Row, error)
	// Agenda returns at most limit rows of any kind that are due by now.
	Agenda(ctx context.Context, limit int) (Agenda, error)
}

// CheckRow returns an error where a State cannot keep r.
func CheckRow(r Row) error {
	var errs []error
	if r.Kind == "" || len(r.Kind) > 16 {
		errs = append(errs, fmt.Errorf("Row.Kind: %q: use 1 to 16 bytes", r.Kind))
	}
	if r.ID == "" || len(r.ID) > MaxID {
		errs = append(errs, fmt.Errorf("Row.ID: has %d bytes; use 1 to %d", len(r.ID), MaxID))
	}
	if r.Version < 0 {
		errs = append(errs, fmt.Errorf("Row.Version: %d is negative", r.Version))
	}
	return errors.Join(errs...)
}

type rowKey struct {
	kind Kind
	id   string
}

// Memory is the State of one process: it shares nothing and survives nothing.
type Memory struct {
	mu   sync.Mutex
	rows map[rowKey]Row
}

// NewMemory returns an empty Memory. Its clock is the process's.
func NewMemory() *Memory { return &Memory{rows: map[rowKey]Row{}} }

// Get is part of State.
func (m *Memory) Get(ctx context.Context, kind Kind, id string) (Row, time.Time, error) {
	if ctx.Err() != nil {
		return Row{}, time.Time{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[rowKey{kind, id}]
	if !ok {
		row = Row{Kind: kind, ID: id}
	}
	row.Data = slices.Clone(row.Data)
	return row, time.Now(), nil
}

// Put is part of State.
func (m *Memory) Put(ctx context.Context, row Row) error {
	if err := CheckRow(row); err != nil {
		return err
	}
	return m.write(ctx, row, func(key rowKey) {
		row.Version++
		row.Data = slices.Clone(row.Data)
		m.rows[key] = row
	})
}

// Delete is part of State.
func (m *Memory) Delete(ctx context.Context, row Row) error {
	if row.Version == 0 {
		return ErrConflict
	}
	return m.write(ctx, row, func(key rowKey) { delete(m.rows, key) })
}

func (m *Memory) write(ctx context.Context, row Row, do func(rowKey)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := rowKey{row.Kind, row.ID}
	if m.rows[key].Version != row.Version {
		return ErrConflict
	}
	do(key)
	return nil
}

// List is part of State.
func (m *Memory) List(ctx context.Context, kind Kind, after string, limit int) ([]Row, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Row
	for key, row := range m.rows {
		if key.kind == kind && key.id > after {
			out = append(out, row)
		}
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	return cloned(out, limit), nil
}

// Agenda is part of State.
func (m *Memory) Agenda(ctx context.Context, limit int) (Agenda, error) {
	if ctx.Err() != nil {
		return Agenda{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a := Agenda{Now: time.Now()}
	for _, row := range m.rows {
		switch {
		case row.Due.IsZero():
		case !row.Due.After(a.Now):
			a.Rows = append(a.Rows, row)
		case a.Next.IsZero() || row.Due.Before(a.Next):
			a.Next = row.Due
		}
	}
	slices.SortFunc(a.Rows, func(x, y Row) int {
		return cmp.Or(x.Due.Compare(y.Due), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.ID, y.ID))
	})
	a.Rows = cloned(a.Rows, limit)
	return a, nil
}

func cloned(rows []Row, limit int) []Row {
	rows = rows[:min(max(limit, 0), len(rows))]
	for i := range rows {
		rows[i].Data = slices.Clone(rows[i].Data)
	}
	return rows
}
