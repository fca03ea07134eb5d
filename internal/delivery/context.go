package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Context is a context that costs one allocation until somebody looks at it: it
// becomes a real one, with its channel, timer and place among its parent's
// children, when its Done is first asked for, or its Err where that is no longer
// nil. The layers of a chain put three of them around each handler, and a
// handler that never waits looks at none.
//
// It also knows the delivery without a search.
type Context struct {
	parent   context.Context //nolint:containedctx // a context is what it is
	delivery *Delivery
	open     Opener
	arg      any
	deadline time.Time // of its own; none where zero
	detached bool      // does not end with its parent
	key, val any       // a value of its own

	real atomic.Pointer[realContext]

	mu    sync.Mutex
	over  bool // Cancel was called
	cause error
}

type realContext struct {
	ctx context.Context //nolint:containedctx // see Context
	end context.CancelCauseFunc
}

// Opener makes the real context of c.
type Opener func(c *Context) (context.Context, context.CancelCauseFunc)

// WithCancel returns a context on parent that ends with it, or with Cancel, and
// that has val for key.
func WithCancel(parent context.Context, key, val any) *Context {
	return &Context{parent: parent, delivery: From(parent), open: openCancel, key: key, val: val}
}

func openCancel(c *Context) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(c.parent)
}

// WithTimeout returns a context on parent that ends with it, or after d with
// cause, or with Cancel.
func WithTimeout(parent context.Context, d time.Duration, cause error) *Context {
	return &Context{parent: parent, delivery: From(parent), open: openDeadline, arg: cause, deadline: time.Now().Add(d)}
}

// WithoutCancel returns a context with parent's values that ends at the time at,
// or with Cancel, and not with parent.
func WithoutCancel(parent context.Context, at time.Time) *Context {
	return &Context{parent: parent, delivery: From(parent), open: openDeadline, deadline: at, detached: true}
}

func openDeadline(c *Context) (context.Context, context.CancelCauseFunc) {
	parent := c.parent
	if c.detached {
		parent = context.WithoutCancel(parent)
	}
	cause, _ := c.arg.(error)
	ctx, cancel := context.WithDeadlineCause(parent, c.deadline, cause)
	return ctx, func(error) { cancel() } // who ends these gives no cause but context.Canceled
}

// Detached returns a context with parent's values that open makes; it must not
// end before parent does, unless with Cancel. arg is open's.
func Detached(parent context.Context, open Opener, arg any) *Context {
	return &Context{parent: parent, delivery: From(parent), open: open, arg: arg, detached: true}
}

// Carry has c know d. It must be called before anybody else has c.
func (c *Context) Carry(d *Delivery) { c.delivery = d }

// Parent returns what c was made from.
func (c *Context) Parent() context.Context { return c.parent }

// Arg returns what c was made with.
func (c *Context) Arg() any { return c.arg }

// Cancel ends c with a cause.
func (c *Context) Cancel(cause error) {
	c.mu.Lock()
	r := c.real.Load()
	if !c.over {
		c.over, c.cause = true, cause
	}
	c.mu.Unlock()
	if r != nil {
		r.end(cause)
	}
}

func (c *Context) look() context.Context {
	if r := c.real.Load(); r != nil {
		return r.ctx
	}
	c.mu.Lock()
	r := c.real.Load()
	if r == nil {
		ctx, end := c.open(c)
		r = &realContext{ctx, end}
		c.real.Store(r)
	}
	over, cause := c.over, c.cause
	c.mu.Unlock()
	if over {
		r.end(cause)
	}
	return r.ctx
}

// Deadline is that of the real context.
func (c *Context) Deadline() (time.Time, bool) {
	at, ok := c.deadline, !c.deadline.IsZero()
	if c.detached {
		return at, ok
	}
	if outer, has := c.parent.Deadline(); has && (!ok || outer.Before(at)) {
		return outer, true
	}
	return at, ok
}

// Done is that of the real context.
func (c *Context) Done() <-chan struct{} { return c.look().Done() }

// Err is that of the real context.
func (c *Context) Err() error {
	if c.real.Load() == nil && !c.ending() {
		return nil
	}
	return c.look().Err()
}

// ending reports whether the real context may have ended.
func (c *Context) ending() bool {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	return over || c.parent.Err() != nil || (!c.deadline.IsZero() && !time.Now().Before(c.deadline))
}

// Value is that of the real context, or the delivery, or c's own value.
func (c *Context) Value(key any) any {
	if key == (contextKey{}) && c.delivery != nil {
		return c.delivery
	}
	if c.key != nil && key == c.key {
		return c.val
	}
	if r := c.real.Load(); r != nil {
		return r.ctx.Value(key)
	}
	return c.parent.Value(key)
}
