package sqlqueue

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/lease"
)

// claimState says what may happen to the messages of a claim.
type claimState int

const (
	open    claimState = iota // handed out and deleted
	closing                   // what is under way may finish and is deleted; nothing is handed out
	dead                      // another member may have the shard: nothing is handed out or deleted
)

// claim is a shard for as long as its lease is held. Its fields belong to the
// subscription's mutex, but for held, which does not change.
type claim struct {
	held  lease.Held
	state claimState
	since time.Time // closing since

	items map[int64]*item // read, and not yet seen to be deleted
	keys  map[int64]int   // how many items of each key hash
	// failing are the keys whose first item was nacked, by hash, with its id.
	// They are left out of reads, so that what waits behind it fills no place.
	failing map[int64]int64
	window  window
}

func newClaim(held lease.Held) *claim {
	return &claim{held: held, items: map[int64]*item{}, keys: map[int64]int{}, failing: map[int64]int64{}}
}

// busy reports whether anything is under way, or acked and not yet deleted.
func (c *claim) busy() bool {
	for _, i := range c.items {
		switch i.state {
		case acked:
			return true
		case out:
			select {
			case <-i.msg.Nacked(): // it will not be handed out again
			default:
				return true
			}
		case waiting, deleted:
		}
	}
	return false
}

// itemState is how far an item has come.
type itemState int

const (
	waiting itemState = iota // in the dispatcher
	out                      // with a handler, or resting after a nack
	acked                    // to be deleted
	deleted                  // a read that began before may still find it
)

// item is a message of a group. Its content does not change; the rest belongs to
// the subscription's mutex.
type item struct {
	claim *claim
	id    int64
	hash  int64
	stored

	state    itemState
	attempts int
	dropped  bool
	msg      *message.Message // of the last attempt
	cancel   context.CancelFunc
}

// window decides above which id a shard is read. The floor trails what was read,
// so that a row that commits late, below ids that were read already, is found
// in its order; and it spares the walk over index entries of rows long deleted,
// which the database cannot clear while an old transaction is open anywhere.
type window struct {
	floor   int64
	samples []sample // oldest first
}

type sample struct {
	at time.Time
	id int64
}

const (
	// floorLag is how long after its number was drawn a message may be committed
	// and still be found in its order.
	floorLag = 20 * time.Second
	// sweepEvery is how often a shard is read from the start, for what was
	// committed later than that.
	sweepEvery = 10 * time.Second

	samplesPerLag = 8
)

// observe notes that all visible rows up to id were read at now.
func (w *window) observe(now time.Time, id int64) {
	if n := len(w.samples); n > 0 && now.Sub(w.samples[n-1].at) < floorLag/samplesPerLag {
		return
	}
	w.samples = append(w.samples, sample{at: now, id: id})
}

// advance returns the floor, moved up to what was read longer than the lag ago.
func (w *window) advance(now time.Time) int64 {
	n := 0
	for n < len(w.samples) && now.Sub(w.samples[n].at) >= floorLag {
		w.floor = max(w.floor, w.samples[n].id)
		n++
	}
	w.samples = w.samples[n:]
	return w.floor
}

// reset makes sure that id, and all that follows it, is read again.
func (w *window) reset(id int64) {
	w.floor = min(w.floor, id-1)
	w.samples = nil
}

// floor returns the window's floor, below every key that is left out of reads.
func (c *claim) floor(now time.Time) int64 {
	floor := c.window.advance(now)
	for _, id := range c.failing {
		floor = min(floor, id-1)
	}
	return floor
}
