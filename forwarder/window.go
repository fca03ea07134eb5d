package forwarder

import (
	"math"
	"slices"
	"time"
)

// window decides above which id one shard is read. The floor keeps the relay
// from going through the index entries of rows delivered long ago, which the
// database cannot clear while an old transaction is open anywhere. What may
// still come to light below it is a row whose transaction commits late:
//
//   - On PostgreSQL the window knows by name the transactions that were open
//     when the floor was set (latecomers). As soon as a read cannot find one of
//     them open any more, it is void, and the shard is read from an earlier floor
//     on, one that was set before that transaction began to write.
//   - On MySQL the floor trails what was read by the time that a transaction
//     may stay open.
//   - On SQLite nobody commits late: there is one writer at a time.
type window struct {
	fence      int64 // of the lease that it was made under
	floor      int64
	latecomers []uint64
	marks      []mark   // the floor's and earlier ones, oldest first
	samples    []sample // oldest first
}

// mark is a floor and the first transaction that cannot have a row below it.
type mark struct {
	floor int64
	begun uint64
}

// mostMarks bounds how many are kept. Of the older half every other one goes then:
// the longer ago, the further apart.
const mostMarks = 16

// sample notes that all rows up to id were read that could be seen.
type sample struct {
	at   time.Time
	id   int64
	next uint64 // no transaction from here on had begun to write
}

// samplesPerLag bounds how far the floor trails beyond the lag.
const samplesPerLag = 8

// observe notes that all visible rows up to id were read at now.
func (w *window) observe(now time.Time, id int64, s snapshot, lag time.Duration) {
	if n := len(w.samples); n > 0 && now.Sub(w.samples[n-1].at) < lag/samplesPerLag {
		return
	}
	w.samples = append(w.samples, sample{at: now, id: id, next: s.next})
}

// advance moves the floor up to what was read longer than lag ago.
func (w *window) advance(now time.Time, lag time.Duration) {
	n := 0
	for n < len(w.samples) && now.Sub(w.samples[n].at) >= lag {
		w.floor = max(w.floor, w.samples[n].id)
		n++
	}
	w.samples = w.samples[n:]
}

// adopt moves the floor, on PostgreSQL, up to a sample that is older than lag,
// after a read with snapshot s that went through everything up to reached. What
// had ended by s was found by that read. Left are the transactions that were
// open both when the sample was taken and at s. One that took its id before the
// sample and began to write only afterwards has half of lag to do so.
func (w *window) adopt(now time.Time, s snapshot, reached int64, lag time.Duration) {
	n := 0
	for n < len(w.samples) && now.Sub(w.samples[n].at) >= lag && w.samples[n].id <= reached {
		n++
	}
	if n == 0 {
		return
	}
	begun := w.samples[n-1].next
	for _, later := range w.samples[n:] {
		if now.Sub(later.at) >= lag/2 {
			begun = later.next
		}
	}
	w.floor = max(w.floor, w.samples[n-1].id)
	w.latecomers = s.before(begun)
	w.samples = w.samples[n:]
	w.note(mark{w.floor, begun})
}

func (w *window) note(m mark) {
	if len(w.marks) == mostMarks {
		kept := w.marks[:0]
		for i, old := range w.marks {
			if i >= mostMarks/2 || i%2 == 0 {
				kept = append(kept, old)
			}
		}
		w.marks = kept
	}
	w.marks = append(w.marks, m)
}

// void reports whether a read with snapshot s may have missed rows below the
// floor.
func (w *window) void(s snapshot) bool { return slices.ContainsFunc(w.latecomers, s.ended) }

// restart goes back, after snapshot s has shown the floor to be void, to the
// latest floor that was set before the first of the transactions that have ended
// began to write: what that one wrote is above it. The latecomers from before that
// floor are all still open.
func (w *window) restart(s snapshot) {
	ended := uint64(math.MaxUint64)
	for _, xid := range w.latecomers {
		if s.ended(xid) {
			ended = min(ended, xid)
		}
	}
	n := len(w.marks)
	for n > 0 && w.marks[n-1].begun > ended {
		n--
	}
	w.marks, w.samples = w.marks[:n], nil
	if n == 0 {
		w.floor, w.latecomers = 0, nil
		return
	}
	back := w.marks[n-1]
	w.floor = min(w.floor, back.floor)
	w.latecomers = slices.DeleteFunc(w.latecomers, func(xid uint64) bool { return xid >= back.begun })
}

// below keeps the floor below hold, the lowest id that is read and not settled
// (0 for none), and returns it.
func (w *window) below(hold int64) int64 {
	if hold > 0 {
		w.floor = min(w.floor, hold-1)
	}
	return w.floor
}

// reset makes sure that id, and all that follows it, is read again: the samples
// taken so far say nothing about it.
func (w *window) reset(id int64) {
	w.floor = min(w.floor, id-1)
	w.samples = nil
}
