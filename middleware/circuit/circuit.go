package circuit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// Circuits are the circuits of any number of handlers in one process. They are
// safe for concurrent use and own no goroutine.
type Circuits struct {
	cfg Config

	mu     sync.Mutex // of those who add a handler
	groups atomic.Pointer[map[id]*group]
}

// id is a handler. It is no text, so that finding it costs no allocation.
type id struct{ consumer, handler string }

// New returns circuits, all closed.
func New(cfg Config) (*Circuits, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configure circuit: %w", err)
	}
	c := &Circuits{cfg: cfg}
	c.groups.Store(&map[id]*group{})
	return c, nil
}

// Middleware is the gate in front of h. It may be put before several handlers,
// each of which has circuits of its own.
func (c *Circuits) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		d, undo := delivery.Ensure(msg)
		defer undo()
		return c.group(d).handle(h, msg, d)
	}
}

func (c *Circuits) group(d *delivery.Delivery) *group {
	of := id{d.Consumer, d.Handler}
	if g := (*c.groups.Load())[of]; g != nil {
		return g
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.groups.Load()
	if g := known[of]; g != nil {
		return g
	}
	g := newGroup(&c.cfg, d.Scope())
	grown := maps.Clone(known)
	grown[of] = g
	c.groups.Store(&grown)
	return g
}

func (g *group) handle(h message.HandlerFunc, msg *message.Message, d *delivery.Delivery) (out []*message.Message, err error) {
	ctx := msg.Context()
	p := pass{key: g.cfg.Key(msg)}
	if g.cfg.Dependencies != nil {
		p.needs, p.limited = g.cfg.Dependencies(msg), true
	}
	if g.notClosed.Load() > 0 {
		if p.tickets, err = g.enter(ctx, p); err != nil {
			return nil, err
		}
	}
	returned := false
	defer func() {
		if !returned { // a panic on its way out: the message is back with the others
			g.leave(&p, d, failing, errPanicked)
		}
	}()
	out, err = h(msg)
	returned = true
	g.leave(&p, d, g.judge(ctx, d, err), err)
	return out, err
}

var errPanicked = errors.New("handler panicked")

// judge says what the end of an attempt tells.
func (g *group) judge(ctx context.Context, d *delivery.Delivery, err error) outcome {
	switch {
	case err == nil && d.Replayed():
		return nothing // a duplicate: the handler did not run
	case err == nil:
		return success
	case ctx.Err() != nil, failure.IsPermanent(err),
		errors.Is(err, failure.ErrBusy), errors.Is(err, idemstore.ErrContended): // the handler did not run
		return nothing
	case g.cfg.Counts != nil && !g.cfg.Counts(err):
		return nothing
	default:
		return failing
	}
}

// pass is one message on its way through.
type pass struct {
	key     string
	needs   []string // dependencies, where limited
	limited bool
	tickets []ticket // of a probe
}

// needsIt reports whether the message depends on c as far as is known.
func (p *pass) needsIt(c *circuit) bool {
	return !p.limited || c.name == "" || slices.Contains(p.needs, c.name)
}

// leave counts the end of an attempt.
func (g *group) leave(p *pass, d *delivery.Delivery, o outcome, err error) {
	uses := d.TakeUses()
	if o == success && len(p.tickets) == 0 && len(uses) == 0 {
		for _, c := range *g.circuits.Load() {
			if !c.used.Load() && p.needsIt(c) {
				c.successes.Add(1)
			}
		}
		return
	}
	if o == nothing && len(p.tickets) == 0 {
		return
	}
	changed, lasting := g.settle(p, uses, o, err, time.Now())
	for _, s := range lasting {
		g.alert(s)
	}
	for _, s := range changed {
		g.tell(s, err)
	}
}
