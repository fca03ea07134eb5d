package sluicegatetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Ledger counts effects by key. It is safe for concurrent use.
type Ledger struct {
	read func() ([]string, error) // nil: only what was added

	mu    sync.Mutex
	added map[string]int
}

// NewLedger returns a ledger for effects outside of the database: who makes one calls Add.
func NewLedger() *Ledger { return &Ledger{added: map[string]int{}} }

// LedgerOf returns a ledger of committed effects in the database: each row of the query is
// one, and its first and only column is the key.
func (h *Harness) LedgerOf(query string, args ...any) *Ledger {
	l := NewLedger()
	l.read = func() ([]string, error) {
		ctx, cancel := h.look()
		defer cancel()
		rows, err := h.DB.QueryContext(ctx, h.dialect.Bind(query), args...)
		if err != nil {
			return nil, blocked(ctx, err)
		}
		defer func() { _ = rows.Close() }()
		var keys []string
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				return nil, fmt.Errorf("read key: %w", err)
			}
			keys = append(keys, key)
		}
		return keys, rows.Err()
	}
	return l
}

// Add notes an effect.
func (l *Ledger) Add(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.added[key]++
}

// Counts returns the effects so far.
func (l *Ledger) Counts() (map[string]int, error) {
	l.mu.Lock()
	counts := maps.Clone(l.added)
	l.mu.Unlock()
	if l.read == nil {
		return counts, nil
	}
	keys, err := l.read()
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	for _, key := range keys {
		counts[key]++
	}
	return counts, nil
}

// LedgerError says how effects differ from what was asked for.
type LedgerError struct {
	Lost       []string       // no effect
	Duplicated map[string]int // more than one: how many
	Unexpected []string       // an effect that nobody asked for
}

func (e *LedgerError) Error() string {
	var parts []string
	if len(e.Lost) > 0 {
		parts = append(parts, fmt.Sprintf("%d lost: %s", len(e.Lost), some(e.Lost)))
	}
	if len(e.Duplicated) > 0 {
		var list []string
		for _, key := range slices.Sorted(maps.Keys(e.Duplicated)) {
			list = append(list, fmt.Sprintf("%s (%d times)", key, e.Duplicated[key]))
		}
		parts = append(parts, fmt.Sprintf("%d duplicated: %s", len(list), some(list)))
	}
	if len(e.Unexpected) > 0 {
		parts = append(parts, fmt.Sprintf("%d that nobody asked for: %s", len(e.Unexpected), some(e.Unexpected)))
	}
	return "effects: " + strings.Join(parts, "; ")
}

// some lists the first of many.
func some(list []string) string {
	const most = 10
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// Check returns a *LedgerError unless each of the keys has exactly one effect, and no
// other key has one.
func (l *Ledger) Check(keys ...string) error {
	counts, err := l.Counts()
	if err != nil {
		return err
	}
	e := &LedgerError{Duplicated: map[string]int{}}
	want := map[string]bool{}
	for _, key := range keys {
		if want[key] {
			return fmt.Errorf("check ledger: key %q is given twice", key)
		}
		want[key] = true
		switch n := counts[key]; {
		case n == 0:
			e.Lost = append(e.Lost, key)
		case n > 1:
			e.Duplicated[key] = n
		}
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if !want[key] {
			e.Unexpected = append(e.Unexpected, key)
		}
	}
	if len(e.Lost)+len(e.Duplicated)+len(e.Unexpected) == 0 {
		return nil
	}
	return e
}

// RequireApplied ends the test unless each of the keys has exactly one effect, and no other
// key has one.
func (h *Harness) RequireApplied(l *Ledger, keys ...string) {
	h.tb.Helper()
	requireApplied(h.tb, l, keys)
}

func requireApplied(tb testing.TB, l *Ledger, keys []string) {
	tb.Helper()
	if err := l.Check(keys...); err != nil {
		tb.Fatalf("sluicegatetest: %v", err)
	}
}

// look bounds a query outside of a transaction: SQLite's one connection may be that of an
// open one.
func (h *Harness) look() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), lookTimeout)
}

func blocked(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: a transaction is open on the only connection: look through it, or end it first", err)
	}
	return err
}
