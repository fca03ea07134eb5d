package memory

import (
	"context"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// group is one consumer group of one topic. Its messages wait in lanes, one a
// key; a message without a key is a lane by itself. The hub's lock guards it.
type group struct {
	hub      *hub
	lanes    map[string]*lane
	ready    []*lane // lanes with a message and none under way, in turn
	queued   int     // messages in lanes, those under way among them
	underWay int
	wake     chan struct{} // holds a token when a subscription should look
}

// lane holds the messages of a key. Its first one is the one under way while
// busy; while idle the lane is in ready.
type lane struct {
	key   string
	items []*item
	busy  bool
}

// item is a message in a lane.
type item struct {
	*publication
	nacks int
}

// push adds a message behind those of its key.
func (g *group) push(p *publication) {
	l := g.lanes[p.key]
	if p.key == "" || l == nil {
		l = &lane{key: p.key}
		if p.key != "" {
			g.lanes[p.key] = l
		}
		g.ready = append(g.ready, l)
	}
	l.items = append(l.items, &item{publication: p})
	g.queued++
	g.signal()
}

func (g *group) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// sweep removes the withdrawn messages that no subscriber has. One under way
// stays where it is, and is not delivered again.
func (g *group) sweep() {
	withdrawn := func(it *item) bool { return it.withdrawn }
	clean := func(l *lane, from int) {
		kept := from + len(slices.DeleteFunc(l.items[from:], withdrawn))
		g.queued -= len(l.items) - kept
		l.items = l.items[:kept]
	}
	for _, l := range g.lanes {
		if l.busy {
			clean(l, 1)
		}
	}
	g.ready = slices.DeleteFunc(g.ready, func(l *lane) bool {
		clean(l, 0)
		if len(l.items) == 0 {
			g.forget(l)
		}
		return len(l.items) == 0
	})
}

// next takes the first message of the next lane, or returns nil where none is
// ready or as many as allowed are under way.
func (g *group) next() (*lane, *item) {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	if g.underWay < g.hub.concurrency && len(g.ready) > 0 {
		l := g.ready[0]
		g.ready[0] = nil
		g.ready = g.ready[1:]
		l.busy = true
		g.underWay++
		if len(g.ready) > 0 {
			g.signal() // for another subscription
		}
		return l, l.items[0]
	}
	return nil, nil
}

func (g *group) forget(l *lane) {
	if l.key != "" {
		delete(g.lanes, l.key)
	}
}

// acked removes the message under way and lets the lane go on.
func (g *group) acked(l *lane) {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	p := l.items[0].publication
	g.underWay--
	g.shift(l)
	g.release(l)
	if p.owed--; p.owed == 0 {
		close(p.done)
	}
}

// nacked frees the place of the message under way. The lane stays busy until
// resume, so that nothing of its key overtakes.
func (g *group) nacked(l *lane) (nacks int) {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	g.underWay--
	g.signal()
	l.items[0].nacks++
	return l.items[0].nacks
}

// resume makes a lane ready after a nack, when its wait is over.
func (g *group) resume(l *lane) {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	g.release(l)
}

// returned takes a message back that was neither acked nor nacked.
func (g *group) returned(l *lane) {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	g.underWay--
	g.release(l)
}

func (g *group) shift(l *lane) {
	l.items[0] = nil
	l.items = l.items[1:]
	g.queued--
}

func (g *group) release(l *lane) {
	if len(l.items) > 0 && l.items[0] != nil && l.items[0].withdrawn {
		g.shift(l)
	}
	l.busy = false
	if len(l.items) == 0 {
		g.forget(l)
	} else {
		g.ready = append(g.ready, l)
	}
	g.signal()
}

func (h *hub) subscribe(ctx context.Context, topic, name string) <-chan *message.Message {
	h.mu.Lock()
	g := h.group(topic, name)
	g.signal()
	h.mu.Unlock()
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		g.run(ctx, out)
	}()
	return out
}

// run is one subscription: it takes messages in turn and hands them over; one
// goroutine a message then waits for the answer.
func (g *group) run(ctx context.Context, out chan<- *message.Message) {
	var answers sync.WaitGroup
	defer answers.Wait()
	for {
		l, it := g.next()
		if l == nil {
			select {
			case <-g.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		msgCtx, cancel := context.WithCancel(ctx)
		msg := it.message(msgCtx)
		select {
		case out <- msg:
			answers.Go(func() {
				defer cancel()
				g.await(ctx, l, msg)
			})
		case <-ctx.Done():
			cancel()
			g.returned(l)
			return
		}
	}
}

// await waits for the answer to a message. Once the subscription has ended the
// message is somebody else's, and a later answer to this copy means nothing.
func (g *group) await(ctx context.Context, l *lane, msg *message.Message) {
	select {
	case <-msg.Acked():
		g.acked(l)
	case <-msg.Nacked():
		_ = backoff.Wait(ctx, g.hub.backoff.Delay(g.nacked(l)))
		g.resume(l)
	case <-ctx.Done():
		select {
		case <-msg.Acked(): // before or together with the end: nobody else has it yet
			g.acked(l)
		default:
			g.returned(l)
		}
	}
}
