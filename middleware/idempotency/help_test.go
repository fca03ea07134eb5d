package idempotency_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// facts notes what an observer is told.
type facts struct {
	mu   sync.Mutex
	list []event.Event
}

func (f *facts) observe(e event.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, e)
}

func (f *facts) kinds() []event.Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []event.Kind
	for _, e := range f.list {
		out = append(out, e.Kind)
	}
	return out
}

func (f *facts) want(t *testing.T, kinds ...event.Kind) {
	t.Helper()
	if got := f.kinds(); !slices.Equal(got, kinds) {
		t.Errorf("events %q, want %q", got, kinds)
	}
}

// wobbly is a store whose methods can be made to fail.
type wobbly struct {
	idempotency.Store
	mu    sync.Mutex
	fails map[string]func() error
	calls map[string]int
}

func newWobbly() *wobbly {
	return &wobbly{Store: memorystore.New(), fails: map[string]func() error{}, calls: map[string]int{}}
}

var errStoreAway = failure.Unavailable(errors.New("store away"))

func (w *wobbly) fail(verb string, fn func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails[verb] = fn
}

func (w *wobbly) count(verb string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[verb]
}

func (w *wobbly) enter(verb string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[verb]++
	if fn := w.fails[verb]; fn != nil {
		return fn()
	}
	return nil
}

func (w *wobbly) Claim(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if err := w.enter("claim"); err != nil {
		return idempotency.Record{}, err
	}
	return w.Store.Claim(ctx, c)
}

func (w *wobbly) Extend(ctx context.Context, k idempotency.Key, token string, lease time.Duration) error {
	if err := w.enter("extend"); err != nil {
		return err
	}
	return w.Store.Extend(ctx, k, token, lease)
}

func (w *wobbly) Complete(ctx context.Context, k idempotency.Key, token string, result []byte, retention time.Duration) error {
	if err := w.enter("complete"); err != nil {
		return err
	}
	return w.Store.Complete(ctx, k, token, result, retention)
}

func (w *wobbly) Release(ctx context.Context, k idempotency.Key, token string) error {
	if err := w.enter("release"); err != nil {
		return err
	}
	return w.Store.Release(ctx, k, token)
}

// rig is a middleware around a handler that can be changed.
type rig struct {
	t     *testing.T
	store *wobbly
	facts *facts
	mw    message.HandlerMiddleware
	runs  int
}

func newRig(t *testing.T, change func(*idempotency.Config)) *rig {
	t.Helper()
	r := &rig{t: t, store: newWobbly(), facts: &facts{}}
	cfg := idempotency.Config{Handler: "stock", Consumer: "shop", Observe: r.facts.observe}
	if change != nil {
		change(&cfg)
	}
	mw, err := idempotency.New(r.store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.mw = mw
	return r
}

var theKey = idempotency.Key{Handler: "shop/stock", ID: "order-1"}

// newMessage is another delivery of the same message.
func newMessage(ctx context.Context) *message.Message {
	return message.NewMessageWithContext(ctx, "order-1", message.Payload("payload"))
}

// deliver runs h on another delivery of the message, on the caller's goroutine.
func (r *rig) deliver(ctx context.Context, h message.HandlerFunc) ([]*message.Message, error) {
	r.t.Helper()
	// As in a stack, where an outer layer has put the delivery there.
	ctx = delivery.With(ctx, &delivery.Delivery{})
	msg := newMessage(ctx)
	produced, err := r.mw(func(m *message.Message) ([]*message.Message, error) {
		r.runs++
		return h(m)
	})(msg)
	if msg.Context() != ctx {
		r.t.Error("the message's context was not restored")
	}
	return produced, err
}

func (r *rig) ran(n int) {
	r.t.Helper()
	if r.runs != n {
		r.t.Fatalf("the handler ran %d times, want %d", r.runs, n)
	}
}

func succeed(*message.Message) ([]*message.Message, error) { return nil, nil }

var errHandler = errors.New("handler failed")

func failing(*message.Message) ([]*message.Message, error) { return nil, errHandler }

// pass lets d pass on the clock of the bubble.
func pass(d time.Duration) { <-time.NewTimer(d).C }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
