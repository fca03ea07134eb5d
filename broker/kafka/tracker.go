package kafka

import (
	"context"
	"sync"
)

// limits bound what a claim may hold.
type limits struct {
	records int   // begun and not finished
	bytes   int   // of those records, unless it is a single one
	window  int64 // offsets from the lowest unfinished one on
}

// tracker knows which records of one claimed partition are handled, and up to
// where all are: no offset may be marked beyond the lowest unfinished one,
// or a crash would skip it. One goroutine begins records; any may finish them.
type tracker struct {
	limits limits
	mark   func(next int64) // in order, one call at a time

	mu      sync.Mutex
	ring    []entry // by the number of a record, modulo its length, which divides 2⁶⁴
	lowest  uint64  // number of the lowest unfinished record, or next
	next    uint64  // number of the next record
	held    int
	bytes   int
	waiting bool
	moved   chan struct{} // has a place; told when waiting and something was finished
}

type entry struct {
	offset   int64
	bytes    int
	finished bool
}

func newTracker(l limits, mark func(next int64)) *tracker {
	return &tracker{limits: l, mark: mark, ring: make([]entry, 64), moved: make(chan struct{}, 1)}
}

// begin notes a record that is about to be delivered and returns its number.
// Offsets grow. It waits while the claim holds as much as it may, and reports
// false, without having noted the record, where ctx ended first.
func (t *tracker) begin(ctx context.Context, offset int64, bytes int) (number uint64, ok bool) {
	t.mu.Lock()
	for t.full(offset, bytes) {
		t.waiting = true
		t.mu.Unlock()
		select {
		case <-t.moved:
		case <-ctx.Done():
			return 0, false
		}
		t.mu.Lock()
	}
	defer t.mu.Unlock()
	if t.next-t.lowest == uint64(len(t.ring)) {
		t.grow()
	}
	number = t.next
	*t.at(number) = entry{offset: offset, bytes: bytes}
	t.next++
	t.held++
	t.bytes += bytes
	return number, true
}

func (t *tracker) full(offset int64, bytes int) bool {
	if t.lowest == t.next {
		return false
	}
	return t.held >= t.limits.records || t.bytes+bytes > t.limits.bytes && t.held > 0 ||
		offset-t.at(t.lowest).offset >= t.limits.window
}

func (t *tracker) at(number uint64) *entry { return &t.ring[number%uint64(len(t.ring))] }

func (t *tracker) grow() {
	old := t.ring
	t.ring = make([]entry, 2*len(old))
	for n := t.lowest; n != t.next; n++ {
		*t.at(n) = old[n%uint64(len(old))]
	}
}

// finish notes an acked record, and marks the offset after the last of those
// finished without a gap where it has moved.
func (t *tracker) finish(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.at(number)
	e.finished = true
	t.held--
	t.bytes -= e.bytes
	if number == t.lowest {
		var next int64
		for t.lowest != t.next && t.at(t.lowest).finished {
			next = t.at(t.lowest).offset + 1
			t.lowest++
		}
		t.mark(next)
	}
	if t.waiting {
		t.waiting = false
		select {
		case t.moved <- struct{}{}:
		default:
		}
	}
}
