package forwarder

import (
	"slices"
	"time"
)

// block is what keeps its order: the rows of one key, or one row without a key.
type block struct {
	key string
	id  int64 // only where key is empty
}

func (m *record) block() block {
	if m.key != "" {
		return block{key: m.key}
	}
	return block{id: m.id}
}

// hold says why and how long a block is left alone.
type hold struct {
	shard    int
	first    int64     // id of the row that did not get through
	until    time.Time // not read before
	tries    int       // in a row, for the backoff
	failed   time.Time // when it was last tried and failed; zero before
	away     bool      // because the broker was away; not read until it is back or all else was tried
	inFlight bool      // a Publish call has not returned; not read until it has
}

// holds are the blocks of one lane that wait. A hold whose time has come stays
// until its row is settled: the floor must not pass it.
type holds map[block]*hold

// excluded returns the keys and ids of a shard that must not be read now.
func (h holds) excluded(shard int, now time.Time) (keys []string, ids []int64) {
	for b, e := range h {
		if e.shard != shard || (!e.inFlight && !e.away && !e.until.After(now)) {
			continue
		}
		if b.key != "" {
			keys = append(keys, b.key)
		} else {
			ids = append(ids, b.id)
		}
	}
	slices.Sort(keys)
	slices.Sort(ids)
	return keys, ids
}

// lowest returns the lowest id that waits in a shard, 0 for none.
func (h holds) lowest(shard int) int64 {
	var low int64
	for _, e := range h {
		if e.shard == shard && (low == 0 || e.first < low) {
			low = e.first
		}
	}
	return low
}

// next returns how long until the first hold of the given shards ends, at most
// limit.
func (h holds) next(now time.Time, shards map[int]bool, limit time.Duration) time.Duration {
	for _, e := range h {
		if shards[e.shard] && !e.inFlight && !e.away {
			limit = min(limit, max(e.until.Sub(now), 0))
		}
	}
	return limit
}

// forget drops the holds of a shard.
func (h holds) forget(shard int) {
	for b, e := range h {
		if e.shard == shard {
			delete(h, b)
		}
	}
}

// clearAway ends the holds that only waited for the broker. They stay until
// their rows are settled.
func (h holds) clearAway() {
	for _, e := range h {
		if e.away {
			e.away, e.until = false, time.Time{}
		}
	}
}
