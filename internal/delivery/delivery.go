// Package delivery is what travels with one delivery of a message through the
// chain of middlewares, in the message's context: who handles it, under which
// key, and every attempt so far.
//
// A layer that needs it calls Ensure, so that each middleware works alone; in a
// Stack the outermost layer puts it there. All methods are safe on a nil
// *Delivery and for concurrent use.
package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/text"
)

// MaxErr is how many bytes of an attempt's error text are kept.
const MaxErr = 512

// Record is one attempt: a call of the handler that counted.
type Record struct {
	Number    int           `json:"number"` // from 1
	StartedAt time.Time     `json:"started_at"`
	Duration  time.Duration `json:"duration_ns"`
	Err       string        `json:"error,omitempty"` // shortened to MaxErr bytes; empty: success
}

// Delivery is one delivery of one message to one handler.
type Delivery struct {
	Handler  string // name of the handler
	Topic    string // topic that the message was received from
	Consumer string // namespace of the service; may be empty

	mu       sync.Mutex
	key      string
	first    [1]Record // most messages need one attempt
	attempts []Record
	current  int
	replayed bool
	resumed  bool
	expired  bool
	base     int // attempts made before the message was parked and while it was
	outgoing []func(*message.Message)
	received *Snapshot
	uses     []string // dependencies that the running attempt has named
}

// Scope is consumer and handler as the inbox, events and dead letters name
// them: "shop/stock", or "stock" without a consumer.
func (d *Delivery) Scope() string {
	switch {
	case d == nil:
		return ""
	case d.Consumer == "":
		return d.Handler
	default:
		return d.Consumer + "/" + d.Handler
	}
}

// SetKey tells the outer layers the idempotency key.
func (d *Delivery) SetKey(key string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key = key
}

// Key returns the idempotency key, or "" while nobody has told it.
func (d *Delivery) Key() string {
	if d == nil {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.key
}

// Begin says that attempt number begins; 0 says that none is running.
func (d *Delivery) Begin(number int) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = number
}

// Add records an attempt that has ended. What was cut off by the end of the
// message's context, or found a dependency away, is no attempt and not added.
func (d *Delivery) Add(number int, startedAt time.Time, took time.Duration, err error) {
	if d == nil {
		return
	}
	a := Record{Number: number, StartedAt: startedAt, Duration: took}
	if err != nil {
		a.Err = text.Short(err.Error(), MaxErr)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempts == nil {
		d.attempts = d.first[:0]
	}
	d.attempts = append(d.attempts, a)
}

// Attempts returns a copy of the attempts so far.
func (d *Delivery) Attempts() []Record {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Record(nil), d.attempts...)
}

// Attempt returns the number of the running or last attempt, 0 before the first.
func (d *Delivery) Attempt() int {
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// Replay says that what the inner layers return are the stored outputs of an
// earlier delivery, not those of a handler that ran now.
func (d *Delivery) Replay() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replayed = true
}

// Replayed reports whether Replay was called.
func (d *Delivery) Replayed() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.replayed
}

// Resume says that the message was parked after base attempts, which were made
// in earlier deliveries: this one is attempt base+1, and its only one. Who says
// so holds the task of the message. It is called before the delivery is handed
// to the chain.
func (d *Delivery) Resume(base int) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resumed, d.base = true, max(base, 0)
}

// Resumed reports whether Resume was called, and how many attempts were made
// before this delivery.
func (d *Delivery) Resumed() (base int, ok bool) {
	if d == nil {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.base, d.resumed
}

// OnOutgoing registers f to prepare each produced message before an inner
// layer publishes it; tracing injects its headers so.
func (d *Delivery) OnOutgoing(f func(*message.Message)) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outgoing = append(d.outgoing, f)
}

// Outgoing prepares msg, which the caller must own, to be published.
func (d *Delivery) Outgoing(msg *message.Message) {
	if d == nil {
		return
	}
	d.mu.Lock()
	hooks := d.outgoing
	d.mu.Unlock()
	for _, f := range hooks {
		f(msg)
	}
}

type contextKey struct{}

// With returns a context that carries d.
func With(ctx context.Context, d *Delivery) context.Context {
	return context.WithValue(ctx, contextKey{}, d)
}

// From returns the delivery that ctx carries, or nil.
func From(ctx context.Context) *Delivery {
	if c, ok := ctx.(*Context); ok && c.delivery != nil {
		return c.delivery
	}
	d, _ := ctx.Value(contextKey{}).(*Delivery)
	return d
}

// Attempt returns the number of the attempt that runs on ctx: 1 for the first,
// 0 where nobody counts.
func Attempt(ctx context.Context) int { return From(ctx).Attempt() }

// Ensure returns the delivery of msg. Where its context carries none, it makes
// one of what Watermill's Router tells and puts it there; undo then takes it
// off again, and must be called when the layer returns.
func Ensure(msg *message.Message) (d *Delivery, undo func()) {
	ctx := msg.Context()
	if d := From(ctx); d != nil {
		return d, nothing
	}
	d = &Delivery{Handler: message.HandlerNameFromCtx(ctx), Topic: message.SubscribeTopicFromCtx(ctx)}
	msg.SetContext(With(ctx, d))
	return d, func() { msg.SetContext(ctx) }
}

func nothing() {}

// Expire says that the time of the message was over before it was handled.
func (d *Delivery) Expire() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expired = true
}

// Expired reports whether Expire was called.
func (d *Delivery) Expired() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}
