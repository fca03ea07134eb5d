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
	// Message makes a message of its own for one attempt. Its context is set
	// by the dispatcher.
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
	places   chan struct{} // one for each item held

	mu      sync.Mutex
	lanes   map[string]*lane[T]
	ready   []*lane[T] // lanes with an item and none under way, in turn
	head    int        // of ready
	resting map[*lane[T]]*time.Timer
	left    []*lane[T] // their first item was under way when the context ended
	working int
	closed  bool
	workers sync.WaitGroup
}

// lane holds the items of a key. While busy, its first one is under way, or
// rests after a nack; otherwise the lane is in ready.
type lane[T any] struct {
	key   string
	items []T
	nacks int // of the first item
	busy  bool
}

// New returns a dispatcher that delivers to out until ctx ends. The caller
// calls Close after that, and closes out no sooner than Close has returned.
func New[T any](ctx context.Context, out chan<- *message.Message, handlers Handlers[T], config Config) *Dispatcher[T] {
	return &Dispatcher[T]{
		handlers: handlers, config: config, ctx: ctx, out: out,
		places:  make(chan struct{}, config.Concurrency+config.Queue),
		lanes:   map[string]*lane[T]{},
		resting: map[*lane[T]]*time.Timer{},
	}
}

// Add takes an item. It waits while the dispatcher holds as many as it may,
// and reports false, without having taken it, where the context ended first.
// Items of a key must be added by one goroutine, in their order.
func (d *Dispatcher[T]) Add(item T) bool {
	select {
	case d.places <- struct{}{}:
	case <-d.ctx.Done():
		return false
	}
	key := d.handlers.Key(item)
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[key]
	if key == "" || l == nil {
		l = &lane[T]{key: key}
		if key != "" {
			d.lanes[key] = l
		}
		d.enqueue(l)
	}
	l.items = append(l.items, item)
	return true
}

// enqueue makes a lane ready and sees to it that somebody works on it. The
// lock is held.
func (d *Dispatcher[T]) enqueue(l *lane[T]) {
	l.busy = false
	d.ready = append(d.ready, l)
	if d.working < d.config.Concurrency && !d.closed && d.ctx.Err() == nil {
		d.working++
		d.workers.Go(d.work)
	}
}

// work delivers what is ready until nothing is.
func (d *Dispatcher[T]) work() {
	for {
		l, item, ok := d.next()
		if !ok {
			return
		}
		switch d.attempt(item) {
		case acked:
			d.handlers.Acked(item)
			d.finish(l)
		case nacked:
			d.rest(l)
		case ended:
			d.leave(l)
		}
	}
}

func (d *Dispatcher[T]) next() (l *lane[T], item T, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.head == len(d.ready) || d.ctx.Err() != nil {
		d.working--
		return nil, item, false
	}
	l = d.ready[d.head]
	d.ready[d.head] = nil
	d.head++
	if d.head == len(d.ready) {
		d.ready, d.head = d.ready[:0], 0
	} else if d.head >= 1024 && d.head*2 >= len(d.ready) {
		n := copy(d.ready, d.ready[d.head:])
		clear(d.ready[n:])
		d.ready, d.head = d.ready[:n], 0
	}
	l.busy = true
	return l, l.items[0], true
}

type answer int

const (
	acked answer = iota
	nacked
	ended
)

// attempt delivers an item once.
func (d *Dispatcher[T]) attempt(item T) answer {
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	msg := d.handlers.Message(item)
	msg.SetContext(ctx)
	select {
	case d.out <- msg:
	case <-ctx.Done():
		return ended
	}
	select {
	case <-msg.Acked():
		return acked
	case <-msg.Nacked():
		return nacked
	case <-ctx.Done():
	}
	select {
	case <-msg.Acked(): // before or together with the end: the claim is still ours
		return acked
	default:
		return ended
	}
}

// finish removes the first item of a lane.
func (d *Dispatcher[T]) finish(l *lane[T]) {
	d.mu.Lock()
	var none T
	l.items[0] = none
	l.items, l.nacks = l.items[1:], 0
	if len(l.items) > 0 {
		d.enqueue(l)
	} else if l.key != "" {
		delete(d.lanes, l.key)
	}
	d.mu.Unlock()
	<-d.places
}

// leave keeps a lane whose first item was not answered for Close.
func (d *Dispatcher[T]) leave(l *lane[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = append(d.left, l)
}

// rest keeps a lane back after a nack, without keeping a worker.
func (d *Dispatcher[T]) rest(l *lane[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
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
