package notify

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// firstPause is that of a circuit that has just opened.
const firstPause = time.Second

// patience is how long a notification waits for its target's rate where it is;
// for longer, it goes back into the schedule.
const patience = 10 * time.Second

// gates keep, for this process, how many POSTs are under way to each target, how
// fast they begin, and whether they succeed.
type gates struct {
	cfg Config
	now func() time.Time

	mu sync.Mutex
	of map[string]*gate
}

type gate struct {
	users   int // that hold this gate, waiting or at work
	running int
	freed   chan struct{} // closed and replaced when running falls
	next    time.Time     // when the next may begin, by the rate

	failing map[string]struct{} // notifications that failed since the last success
	open    bool
	probing bool
	pause   time.Duration
	until   time.Time // when the next may try
}

func newGates(cfg Config, now func() time.Time) *gates {
	return &gates{cfg: cfg, now: now, of: map[string]*gate{}}
}

// pass is a place at a gate, until it is left.
type pass struct {
	gates         *gates
	target, uid   string
	gate          *gate
	counted       bool // one of running
	probe, waited bool
}

// enter waits until a POST to the target may begin. A wait above 0 says that it
// may not, and when to ask again; the error that ctx has ended.
func (g *gates) enter(ctx context.Context, target, uid string, o options) (p *pass, wait time.Duration, err error) {
	g.mu.Lock()
	at := g.of[target]
	if at == nil {
		at = &gate{freed: make(chan struct{}), failing: map[string]struct{}{}}
		g.of[target] = at
	}
	at.users++
	p = &pass{gates: g, target: target, uid: uid, gate: at}
	now := g.now()
	if at.open {
		if wait := at.closedFor(now); wait > 0 {
			g.mu.Unlock()
			p.leave(unknown)
			return nil, wait, nil
		}
		at.probing, p.probe = true, true
	}
	for o.Concurrency > 0 && at.running >= o.Concurrency {
		freed := at.freed
		g.mu.Unlock()
		p.waited = true
		select {
		case <-freed:
		case <-ctx.Done():
			p.leave(unknown)
			return nil, 0, context.Cause(ctx)
		}
		g.mu.Lock()
	}
	at.running++
	p.counted = true
	if p.waited {
		now = g.now() // a rate by the time at which it came would let two begin together
	}
	if o.Rate > 0 {
		begin := at.next
		if begin.Before(now) {
			begin = now
		}
		if wait = begin.Sub(now); wait <= patience {
			at.next = begin.Add(time.Duration(float64(time.Second) / o.Rate))
		}
	}
	g.mu.Unlock()
	switch {
	case wait > patience:
		p.leave(unknown)
		return nil, wait, nil
	case wait > 0:
		p.waited = true
		if err := backoff.Wait(ctx, wait); err != nil {
			p.leave(unknown)
			return nil, 0, err
		}
	}
	return p, 0, nil
}

// closedFor is how long nobody may try at an open circuit; 0 where one may.
func (at *gate) closedFor(now time.Time) time.Duration {
	wait := at.until.Sub(now)
	if at.probing {
		wait = max(wait, at.pause)
	}
	if wait <= 0 {
		return 0
	}
	// Those that wait do not come back together.
	return wait + rand.N(wait/4+1)
}

// verdict is what became of a POST.
type verdict int

const (
	unknown verdict = iota // it was not made, or cut off
	good
	failed
)

// change is what a verdict did to a circuit.
type change int

const (
	none change = iota
	opened
	closed
)

// leave ends a pass. It may be called again, to no effect.
func (p *pass) leave(v verdict) change {
	if p == nil || p.gate == nil {
		return none
	}
	g, at := p.gates, p.gate
	p.gate = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.counted {
		at.running--
		close(at.freed)
		at.freed = make(chan struct{})
	}
	c := at.settle(p, v, g.cfg, g.now())
	if at.users--; at.users == 0 && !at.open && len(at.failing) == 0 && !at.next.After(g.now()) {
		delete(g.of, p.target)
	}
	return c
}

func (at *gate) settle(p *pass, v verdict, cfg Config, now time.Time) change {
	if p.probe {
		at.probing = false
	}
	switch v {
	case good:
		was := at.open
		at.open = false
		clear(at.failing)
		if was {
			return closed
		}
	case failed:
		if len(at.failing) < cfg.Circuit {
			at.failing[p.uid] = struct{}{}
		}
		switch {
		case p.probe:
			at.pause = min(2*at.pause, cfg.MaxPause)
			at.until = now.Add(at.pause)
			return opened // still: said again, as another process may have said that it is over
		case !at.open && len(at.failing) >= cfg.Circuit:
			at.open, at.pause = true, min(firstPause, cfg.MaxPause)
			at.until = now.Add(at.pause)
			return opened
		}
	case unknown:
	}
	return none
}

// forget closes the circuit of a target: somebody says that it is well.
func (g *gates) forget(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.of[target]; at != nil {
		at.open = false
		clear(at.failing)
	}
}
