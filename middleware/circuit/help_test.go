package circuit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// rig is circuits before one handler, which does what do says.
type rig struct {
	t  *testing.T
	c  *circuit.Circuits
	h  message.HandlerFunc
	do func(msg *message.Message) error

	calls  atomic.Int64
	mu     sync.Mutex
	called []string
}

func newRig(t *testing.T, cfg circuit.Config, do func(*message.Message) error) *rig {
	t.Helper()
	c, err := circuit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, c: c, do: do}
	r.h = c.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		r.calls.Add(1)
		r.mu.Lock()
		r.called = append(r.called, msg.UUID)
		r.mu.Unlock()
		return nil, r.do(msg)
	})
	return r
}

// deliver hands the message of that name to the handler.
func (r *rig) deliver(uuid string) error { return r.deliverOn(r.t.Context(), uuid) }

func (r *rig) deliverOn(ctx context.Context, uuid string) error {
	msg := message.NewMessage(uuid, nil)
	msg.SetContext(delivery.With(ctx, &delivery.Delivery{Handler: "stock", Consumer: "shop"}))
	_, err := r.h(msg)
	return err
}

// order returns and forgets the messages that ran.
func (r *rig) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	called := r.called
	r.called = nil
	return called
}

func (r *rig) status() circuit.Status {
	r.t.Helper()
	all := r.c.Snapshot()
	if len(all) != 1 {
		r.t.Fatalf("%d circuits: %+v", len(all), all)
	}
	return all[0]
}

func (r *rig) want(s circuit.State) {
	r.t.Helper()
	if got := r.status(); got.State != s || (r.c.CountOpen() == 0) != (s == circuit.Closed) {
		r.t.Fatalf("the circuit is %s, want %s: %+v; %d open", got.State, s, got, r.c.CountOpen())
	}
}

// open fails as many different messages as it takes.
func (r *rig) open(cfg circuit.Config) {
	r.t.Helper()
	n := cfg.Keys
	if n == 0 {
		n = circuit.DefaultKeys
	}
	do := r.do
	r.do = func(*message.Message) error { return errBoom }
	for i := range n {
		if err := r.deliver(fmt.Sprintf("opening-%d", i)); !errors.Is(err, errBoom) {
			r.t.Fatalf("failure %d: %v", i, err)
		}
	}
	r.do = do
	r.want(circuit.Open)
	r.calls.Store(0)
	r.order()
}

func refused(err error) bool { return errors.Is(err, circuit.ErrOpen) && failure.IsUnavailable(err) }

func after(d time.Duration) { <-time.After(d) }
