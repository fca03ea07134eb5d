package forwarder

import "time"

// window decides above which id one shard is read. The floor keeps the relay
// from going through the index entries of rows delivered long ago, which the
// database cannot clear while an old transaction is open anywhere. It trails
// what was read by the time that a transaction may stay open, so that a row
// that commits late, below ids that were read already, is still found.
type window struct {
	fence   int64 // of the lease that it was made under
	floor   int64
	samples []sample // oldest first
}

type sample struct {
	at time.Time
	id int64
}

// samplesPerLag bounds how far the floor trails beyond the lag.
const samplesPerLag = 8

// observe notes that all visible rows up to id were read at now.
func (w *window) observe(now time.Time, id int64, lag time.Duration) {
	if n := len(w.samples); n > 0 && now.Sub(w.samples[n-1].at) < lag/samplesPerLag {
		return
	}
	w.samples = append(w.samples, sample{at: now, id: id})
}

// advance returns the floor, moved up to what was read longer than lag ago, but
// below hold, the lowest id that is read and not settled (0 for none).
func (w *window) advance(now time.Time, lag time.Duration, hold int64) int64 {
	n := 0
	for n < len(w.samples) && now.Sub(w.samples[n].at) >= lag {
		w.floor = max(w.floor, w.samples[n].id)
		n++
	}
	w.samples = w.samples[n:]
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
