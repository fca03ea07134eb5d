package park

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Entry returns the middleware that parked messages come in by: it belongs
// outside of all layers that they are to go through. The handler's name may be
// left empty for a middleware of a whole router: it is then learned from the first
// message of each handler, and a message that was parked before a restart waits for
// that.
func (p *Parker) Entry(consumer, handler string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		if handler != "" {
			p.Register(context.Background(), scopeOf(consumer, handler), next)
			return next
		}
		return func(msg *message.Message) ([]*message.Message, error) {
			if name := message.HandlerNameFromCtx(msg.Context()); name != "" {
				p.Register(msg.Context(), scopeOf(consumer, name), next)
			}
			return next(msg)
		}
	}
}

func scopeOf(consumer, handler string) string {
	return (&delivery.Delivery{Consumer: consumer, Handler: handler}).Scope()
}

// entry is where parked messages of a handler come in.
type entry struct {
	handle message.HandlerFunc
	route  route
}

// Register has parked messages of a scope ("shop/stock", or "stock" without a
// consumer) given to h. The first one of a scope stays. What Watermill's router
// tells of the handler in ctx, parked messages are told too.
func (p *Parker) Register(ctx context.Context, scope string, h message.HandlerFunc) {
	p.mu.RLock()
	_, known := p.entries[scope]
	p.mu.RUnlock()
	if known {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.entries[scope]; !known {
		p.entries[scope] = entry{h, routeOf(ctx)}
		p.worker.Wake()
	}
}

func (p *Parker) scopes() []string {
	p.mu.RLock()
	all := slices.Collect(maps.Keys(p.entries))
	p.mu.RUnlock()
	if p.cfg.Paused != nil {
		all = slices.DeleteFunc(all, p.cfg.Paused)
	}
	return all
}

// Run gives parked messages whose time has come to their handlers, until ctx ends.
// It then takes none any more, and returns when those at work have been settled:
// the handlers' contexts end with ctx, unless a layer outside of them
// keeps theirs alive. What is cut off spends no attempt. It returns nil then, and
// an error only where it runs already.
func (p *Parker) Run(ctx context.Context) error {
	return p.worker.Run(ctx) //nolint:wrapcheck // it says what it is
}

// Proceed decides about a dead letter behind which others of its ordering key wait
// (Policy.AfterDead, Await): they go on without it, and it can be redriven after
// them. It also takes a message that is parked
// out for good, leaving its idempotency record parked: duplicates do not run. The
// error wraps ErrNotParked where there is neither.
func (p *Parker) Proceed(ctx context.Context, scope, key string) error {
	t, err := p.table.schedule.Find(ctx, Queue, scope, key)
	if err == nil {
		err = p.table.schedule.Cancel(ctx, t.ID)
	}
	if errors.Is(err, schedule.ErrNotFound) || errors.Is(err, schedule.ErrFinished) {
		return fmt.Errorf("%w: handler %q", ErrNotParked, scope)
	}
	if err != nil {
		return fmt.Errorf("let messages go on: %w", err)
	}
	return nil
}

// ErrNotParked says that no message of this handler and key is parked.
var ErrNotParked = errors.New("message is not parked")

// Counts tells how many messages are parked.
type Counts struct {
	// Waiting are those that wait for their time or are at work, Held those that
	// queue behind another one of their key.
	Waiting, Held int64
	// Due are those whose time has come, and Oldest is when the first of them
	// became due.
	Due    int64
	Oldest time.Time
}

// Counts counts the parked messages of all handlers.
func (p *Parker) Counts(ctx context.Context) (Counts, error) {
	c, err := p.table.schedule.Counts(ctx, Queue)
	if err != nil {
		return Counts{}, fmt.Errorf("count parked messages: %w", err)
	}
	return Counts{Waiting: c.Of[schedule.Waiting], Held: c.Of[schedule.Held], Due: c.Due, Oldest: c.Oldest}, nil
}
