package dispatch

import (
	"context"
	"runtime"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// patience is how long a worker waits for one of several messages before each
// of them gets a goroutine of its own: at most so much later is the answer to
// another one seen.
const patience = time.Millisecond

// maxMisses is how many unanswered messages in a row make a worker stop looking
// at the younger ones.
const maxMisses = 4

// worker delivers what it has taken and waits for the answers.
type worker[T any] struct {
	taking bool        // this worker is the one that takes
	taken  []flight[T] // to be delivered
	flying []flight[T] // delivered, the oldest first
	acked  []flight[T] // answered, to be settled
	nacked []flight[T]
	timer  *time.Timer
}

// flight is the first item of a lane, and its message once it is delivered.
type flight[T any] struct {
	lane *lane[T]
	item T
	msg  *message.Message
}

type answer int

const (
	none answer = iota
	acked
	nacked
)

func (f flight[T]) answer() answer {
	select {
	case <-f.msg.Acked():
		return acked
	default:
	}
	select {
	case <-f.msg.Nacked():
		return nacked
	default:
		return none
	}
}

// run begins as the one that takes, or with one flight of another worker's.
func (w *worker[T]) run(d *Dispatcher[T], flying ...flight[T]) {
	w.flying = flying
	w.taking = len(flying) == 0
	for {
		w.settle(d)
		if w.taking {
			// Whoever can run now adds, answers or settles, and there is more
			// to take at once.
			runtime.Gosched()
			w.take(d)
		}
		if len(w.taken) == 0 && len(w.flying) == 0 {
			break
		}
		w.deliver(d)
		if !w.taking {
			w.await(d)
		}
		ended := d.ctx.Err() != nil
		w.sweep(ended)
		if ended {
			d.leave(w.flying)
			w.flying = nil
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// settle finishes what was answered, and makes this worker the one that takes
// where there is something to take and no other is.
func (w *worker[T]) settle(d *Dispatcher[T]) {
	for _, f := range w.acked {
		d.handlers.Acked(f.item)
	}
	if w.taking && len(w.acked)+len(w.nacked) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range w.acked {
		d.finish(f.lane)
	}
	for _, f := range w.nacked {
		d.rest(f.lane)
	}
	d.vacate()
	clear(w.acked)
	clear(w.nacked)
	w.acked, w.nacked = w.acked[:0], w.nacked[:0]
	if !d.taking && d.mayTake() {
		d.taking, w.taking = true, true
	}
}

// take takes what may be delivered, and where nothing may, leaves the taking to
// whoever finds something next.
func (w *worker[T]) take(d *Dispatcher[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.mayTake() {
		l := d.ready.pop()
		w.taken = append(w.taken, flight[T]{lane: l, item: l.items.first()})
		d.underWay++
	}
	w.taking = len(w.taken) > 0
	d.taking = w.taking
}

// deliver sends a message for each lane taken. When the context ends first, the
// rest goes to those that are left.
func (w *worker[T]) deliver(d *Dispatcher[T]) {
	taken := w.taken
	w.taken = taken[:0]
	for i, f := range taken {
		f.msg = d.handlers.Message(f.item)
		if f.msg.Context() == context.Background() { // has none of its own
			f.msg.SetContext(d.ctx)
		}
		select {
		case d.out <- f.msg:
		default: // out of the way of the quicker one
			select {
			case d.out <- f.msg:
			case <-d.ctx.Done():
				d.leave(taken[i:])
				return
			}
		}
		w.flying = append(w.flying, f)
	}
	clear(taken)
}

// sweep collects what was answered, from the oldest message on; unless it is to
// look at all, it stops where most likely nothing more is.
func (w *worker[T]) sweep(all bool) {
	kept, misses := w.flying[:0], 0
	for i, f := range w.flying {
		switch f.answer() {
		case acked:
			w.acked = append(w.acked, f)
			misses = 0
		case nacked:
			w.nacked = append(w.nacked, f)
			misses = 0
		case none:
			kept = append(kept, f)
			misses++
		}
		if misses == maxMisses && !all {
			kept = append(kept, w.flying[i+1:]...)
			break
		}
	}
	clear(w.flying[len(kept):])
	w.flying = kept
}

// await waits for the answer to the oldest message or the end of the context,
// and hands all others to workers of their own when that takes long.
func (w *worker[T]) await(d *Dispatcher[T]) {
	if len(w.flying) == 0 {
		return
	}
	oldest := w.flying[0]
	if oldest.answer() != none {
		return
	}
	if len(w.flying) > 1 {
		if w.timer == nil {
			w.timer = time.NewTimer(patience)
		} else {
			w.timer.Reset(patience)
		}
		select {
		case <-oldest.msg.Acked():
			return
		case <-oldest.msg.Nacked():
			return
		case <-d.ctx.Done():
			return
		case <-w.timer.C:
		}
		if runtime.Gosched(); oldest.answer() != none {
			return // it is this process that was slow
		}
		for _, f := range w.flying[1:] {
			d.workers.Go(func() { new(worker[T]).run(d, f) })
		}
		clear(w.flying[1:])
		w.flying = w.flying[:1]
	}
	select {
	case <-oldest.msg.Acked():
	case <-oldest.msg.Nacked():
	case <-d.ctx.Done():
	}
}

// leave keeps for Close what was not answered when the context ended.
func (d *Dispatcher[T]) leave(flights []flight[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range flights {
		d.left = append(d.left, f.lane)
	}
}
