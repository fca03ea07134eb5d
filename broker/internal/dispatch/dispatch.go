package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
)

// Handlers are what a driver does with its items. They may be called from many
// goroutines at once, and hold no lock of the dispatcher's.
type Handlers[T any] struct {
	// Key returns the key of an item. Items without a key have no order.
	Key func(T) string
	// Message makes a message of its own for one attempt. Where it has no
	// context, the dispatcher gives it that of the claim; a driver that wants
	// the context to end with the attempt sets one derived from the claim's,
	// and ends it in Acked and before the next attempt.
	Message func(T) *message.Message
	// Acked is called once, when the message of an item was acked in time. No
	// other item of its key is delivered before it has returned.
	Acked func(T)
	// Returned is called once for each item that was added and never acked,
	// after the context has ended. Nil does nothing.
	Returned func(T)
}

// Config bounds a dispatcher. All fields are required.
type Config struct {
	// Concurrency is how many messages may be under way at once.
	Concurrency int
	// Queue is how many items may wait beside those under way. Items that
	// wait behind a nacked one of their key are among them.
	Queue int
	// Backoff is the wait before a nacked message is delivered again.
	Backoff redelivery.Backoff
}

// Dispatcher delivers items to a channel. See the package comment.
type Dispatcher[T any] struct {
	handlers Handlers[T]
	config   Config
	ctx      context.Context //nolint:containedctx // the claim: the dispatcher lives as long
	out      chan<- *message.Message

	mu       sync.Mutex
	lanes    lanes[T]
	ready    queue[*lane[T]] // lanes with an item and none under way, in turn
	resting  map[*lane[T]]*time.Timer
	left     []*lane[T] // their first item was under way when the context ended
	underWay int        // messages taken and not yet answered
	taking   bool       // a worker takes what is ready, and will look again
	closed   bool
	workers  sync.WaitGroup

	held    int           // items added and not yet acked
	adding  int           // calls of Add that wait for a place
	vacated chan struct{} // has a place; told while some wait
}

// New returns a dispatcher that delivers to out until ctx ends. The caller
// calls Close after that, and closes out no sooner than Close has returned. A
// message that is still in out, where out is buffered, counts as under way.
func New[T any](ctx context.Context, out chan<- *message.Message, handlers Handlers[T], config Config) *Dispatcher[T] {
	return &Dispatcher[T]{
		handlers: handlers, config: config, ctx: ctx, out: out,
		lanes:   newLanes[T](),
		resting: map[*lane[T]]*time.Timer{},
		vacated: make(chan struct{}, 1),
	}
}

// Add takes an item. It waits while the dispatcher holds as many as it may,
// and reports false, without having taken it, where the context ended first.
// Items of a key must be added by one goroutine, in their order.
func (d *Dispatcher[T]) Add(item T) bool {
	key := d.handlers.Key(item)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.place() {
		return false
	}
	l := d.lanes.of(key)
	l.items.push(item)
	if !l.queued {
		d.enqueue(l)
	}
	return true
}

// place waits for a place and takes it. The lock is held, but not while it waits.
func (d *Dispatcher[T]) place() bool {
	for d.ctx.Err() == nil {
		if d.held < d.config.Concurrency+d.config.Queue {
			d.held++
			return true
		}
		d.adding++
		d.mu.Unlock()
		select {
		case <-d.vacated:
		case <-d.ctx.Done():
		}
		d.mu.Lock()
		d.adding--
	}
	return false
}

// vacate tells that there are places. The lock is held.
func (d *Dispatcher[T]) vacate() {
	if d.adding > 0 && d.held < d.config.Concurrency+d.config.Queue {
		select {
		case d.vacated <- struct{}{}:
		default: // told already
		}
	}
}

// enqueue makes a lane ready and sees to it that somebody takes it. The lock
// is held.
func (d *Dispatcher[T]) enqueue(l *lane[T]) {
	l.queued = true
	d.ready.push(l)
	if !d.taking && d.mayTake() {
		d.taking = true
		d.workers.Go(func() { new(worker[T]).run(d) })
	}
}

// mayTake reports whether there is something to take. The lock is held.
func (d *Dispatcher[T]) mayTake() bool {
	return d.ready.len() > 0 && d.underWay < d.config.Concurrency && !d.closed && d.ctx.Err() == nil
}

// finish removes the first items of lanes. The lock is held.
func (d *Dispatcher[T]) finish(l *lane[T]) {
	d.underWay--
	d.held--
	l.items.pop()
	l.nacks = 0
	if l.items.len() > 0 {
		d.ready.push(l)
		return
	}
	l.queued = false
	d.lanes.release(l)
}

// rest keeps a lane back after a nack, without keeping a worker. The lock is
// held.
func (d *Dispatcher[T]) rest(l *lane[T]) {
	d.underWay--
	l.nacks++
	d.resting[l] = time.AfterFunc(d.config.Backoff.Delay(l.nacks), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, ok := d.resting[l]; ok {
			delete(d.resting, l)
			d.enqueue(l)
		}
	})
}
