package redis

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// maxPipeline bounds what one pipeline keeps the server from others for.
	maxPipeline = 128
	// flights is how many pipelines are under way at a time: two, so that one is
	// written and read while the server works on the other.
	flights = 2
)

// call is one script, or without one a command, on its way to the server.
type call struct {
	ctx    context.Context //nolint:containedctx // its caller's, who waits
	script *goredis.Script
	key    string
	args   []any // of a command: all of it

	reply any
	err   error
	// wake gets nil once reply and err are there, or the pipeline that this
	// caller is to send.
	wake chan []*call
}

// combiner sends what callers want that call at the same time in one
// pipeline, each answered for itself. It has no goroutine: a caller that finds
// fewer than flights pipelines under way sends its own at once; those who come
// meanwhile wait, and the first of them sends for all when a pipeline has ended.
type combiner struct {
	client goredis.UniversalClient

	mu      sync.Mutex
	waiting []*call
	active  int
}

// set stores value for so many milliseconds where nothing is stored, or returns
// goredis.Nil.
func (c *combiner) set(ctx context.Context, key, value string, millis int64) error {
	_, err := c.do(&call{ctx: ctx, args: []any{"SET", key, value, "PX", millis, "NX"}})
	return err
}

// run returns the answer of a script. It is sent by its name, and whole where
// the server does not know it yet.
func (c *combiner) run(ctx context.Context, script *goredis.Script, key string, args ...any) (any, error) {
	return c.do(&call{ctx: ctx, script: script, key: key, args: args})
}

// do has me answered. A caller whose ctx ends leaves; what was under way then
// may have happened.
func (c *combiner) do(me *call) (any, error) {
	ctx := me.ctx
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.join(me) {
		c.lead([]*call{me})
		return me.reply, me.err
	}
	select {
	case pipeline := <-me.wake:
		c.lead(pipeline)
		return me.reply, me.err
	case <-ctx.Done():
	}
	if c.leave(me) {
		return nil, ctx.Err()
	}
	select {
	case pipeline := <-me.wake: // the others count on it
		c.lead(pipeline)
		return me.reply, me.err
	default:
		return nil, ctx.Err()
	}
}

// join reports whether the caller is to send at once; else it is queued.
func (c *combiner) join(me *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active < flights {
		c.active++
		return true
	}
	me.wake = make(chan []*call, 1)
	c.waiting = append(c.waiting, me)
	return false
}

// leave takes a caller out of the queue, and reports whether it was there.
func (c *combiner) leave(me *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiting, me)
	if i < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	return true
}

// lead sends a pipeline, if there is one, wakes those who are answered, and
// hands what has gathered meanwhile to the first of those who wait.
func (c *combiner) lead(pipeline []*call) {
	if len(pipeline) == 0 {
		return
	}
	defer c.next()
	if len(pipeline) == 1 {
		one := pipeline[0]
		if one.script == nil {
			one.reply, one.err = c.client.Do(one.ctx, one.args...).Result()
		} else {
			one.reply, one.err = one.script.Run(one.ctx, c.client, []string{one.key}, one.args...).Result()
		}
		return
	}
	c.send(pipeline)
	for _, other := range pipeline[1:] { // the first is the caller itself
		other.wake <- nil
	}
}

func (c *combiner) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.active--
		return
	}
	n := min(len(c.waiting), maxPipeline)
	pipeline := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	pipeline[0].wake <- pipeline
}

// send has every call answered. A server that does not know a script yet is
// told it, in a second pipeline.
func (c *combiner) send(calls []*call) {
	ctx, cancel := together(calls)
	defer cancel()
	unknown := c.exec(ctx, calls, func(p goredis.Pipeliner, one *call) *goredis.Cmd {
		if one.script == nil {
			return p.Do(ctx, one.args...)
		}
		return p.EvalSha(ctx, one.script.Hash(), []string{one.key}, one.args...)
	})
	if len(unknown) > 0 {
		c.exec(ctx, unknown, func(p goredis.Pipeliner, one *call) *goredis.Cmd {
			return one.script.Eval(ctx, p, []string{one.key}, one.args...)
		})
	}
}

// exec returns the calls whose script the server does not know.
func (c *combiner) exec(ctx context.Context, calls []*call, add func(goredis.Pipeliner, *call) *goredis.Cmd) (unknown []*call) {
	p := c.client.Pipeline()
	cmds := make([]*goredis.Cmd, len(calls))
	for i, one := range calls {
		cmds[i] = add(p, one)
	}
	_, _ = p.Exec(ctx) // each command has its own error
	for i, one := range calls {
		one.reply, one.err = cmds[i].Result()
		if one.err != nil && strings.HasPrefix(one.err.Error(), "NOSCRIPT") {
			unknown = append(unknown, one)
		}
	}
	return unknown
}

// together returns a context for what several callers wait for: the end of one
// of theirs must not undo it for the others, so it ends with the latest of
// their deadlines, if all have one.
func together(calls []*call) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(calls[0].ctx)
	var latest time.Time
	for _, one := range calls {
		end, ok := one.ctx.Deadline()
		if !ok {
			return ctx, func() {}
		}
		if end.After(latest) {
			latest = end
		}
	}
	return context.WithDeadline(ctx, latest)
}
