package circuit

import (
	"container/list"
	"context"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// waiter is a message before an open circuit.
type waiter struct {
	p     pass
	ready chan struct{} // closed when it may go on
	in    *list.Element // nil once it is no longer waiting
}

// enter returns at once where no circuit that p needs is open, and else waits:
// until p is chosen as a probe, until they close, for MaxWait, or for ctx.
//
// It takes a copy, so that a message which meets no open circuit allocates nothing.
func (g *group) enter(ctx context.Context, p pass) ([]ticket, error) {
	g.mu.Lock()
	if tickets, ok := g.admit(&p, time.Now(), false); ok {
		g.mu.Unlock()
		return tickets, nil
	}
	w := &waiter{p: p, ready: make(chan struct{})}
	w.in = g.waiting.PushBack(w)
	g.arm(time.Now())
	g.mu.Unlock()

	bound := time.NewTimer(g.cfg.MaxWait)
	defer bound.Stop()
	select {
	case <-w.ready:
		return w.p.tickets, nil
	case <-bound.C:
	case <-ctx.Done():
	}
	return g.stop(ctx, w)
}

// stop ends a wait that has taken long enough.
func (g *group) stop(ctx context.Context, w *waiter) ([]ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	chosen := w.in == nil
	if !chosen {
		g.waiting.Remove(w.in)
		w.in = nil
		g.arm(now)
	}
	if ctx.Err() == nil {
		if chosen {
			return w.p.tickets, nil
		}
		// Nobody else has come for the probe: better this one again than none.
		if tickets, ok := g.admit(&w.p, now, true); ok {
			return tickets, nil
		}
		return nil, g.refuse(&w.p, nil, now)
	}
	err := g.refuse(&w.p, context.Cause(ctx), now)
	if chosen {
		for _, t := range w.p.tickets {
			t.circuit.end(t, w.p.key, nothing, now)
		}
		g.elect(now)
	}
	return nil, err
}

// admit lets p through where nothing that it needs is open, or where it may be
// a probe of all that is. A key whose probe has failed may be one only anyway.
func (g *group) admit(p *pass, now time.Time, anyway bool) ([]ticket, bool) {
	for _, c := range *g.circuits.Load() {
		if c.open && p.needsIt(c) && (!c.free(now) || !anyway && c.hasTried(p.key)) {
			return nil, false
		}
	}
	var tickets []ticket
	for _, c := range *g.circuits.Load() {
		if c.open && p.needsIt(c) {
			tickets = append(tickets, c.begin(now))
		}
	}
	return tickets, true
}

// elect lets those go on that may, in the order in which they came.
func (g *group) elect(now time.Time) {
	for e := g.waiting.Front(); e != nil; {
		next := e.Next()
		w, _ := e.Value.(*waiter) // nothing else is in it
		if tickets, ok := g.admit(&w.p, now, false); ok {
			g.waiting.Remove(e)
			w.in, w.p.tickets = nil, tickets
			close(w.ready)
		}
		e = next
	}
	g.arm(now)
}

// arm sets the timer to when somebody who waits may go on.
func (g *group) arm(now time.Time) {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
	if g.waiting.Len() == 0 {
		return
	}
	var at time.Time
	for _, c := range *g.circuits.Load() {
		if !c.open {
			continue
		}
		if due := c.due(); due.After(now) && (at.IsZero() || due.Before(at)) {
			at = due
		}
	}
	if !at.IsZero() {
		g.timer = time.AfterFunc(at.Sub(now), g.tick)
	}
}

func (g *group) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.elect(time.Now())
}

// minDelay is the shortest delay that a message asks for that did not run.
const minDelay = time.Second

// refuse is the error of a message that did not run.
func (g *group) refuse(p *pass, cause error, now time.Time) error {
	e := &OpenError{Handler: g.scope, Err: cause}
	for _, c := range *g.circuits.Load() {
		if c.open && p.needsIt(c) {
			e.Dependency, e.Since, e.Next = c.name, c.since, c.next
			break
		}
	}
	if cause != nil {
		return failure.Unavailable(e)
	}
	// Not all at the moment of the next probe.
	delay := max(e.Next.Sub(now), minDelay)
	return failure.Unavailable(failure.RetryAfter(e, delay+backoff.Half(delay)))
}
