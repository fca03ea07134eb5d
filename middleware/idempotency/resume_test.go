package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// fromTask is a delivery of the message by its task, after base attempts.
func fromTask(base int) *message.Message {
	d := &delivery.Delivery{}
	d.Resume(base)
	return newMessage(delivery.With(context.Background(), d))
}

func park(t *testing.T, store interface {
	Transition(ctx context.Context, k idempotency.Key, tr idempotency.Transition) error
}) {
	t.Helper()
	must(t, store.Transition(t.Context(), theKey, idempotency.Transition{From: []idempotency.State{idempotency.Absent, idempotency.Released}, To: idempotency.Parked}))
}

// fenced returns result, and notes the fence that it ran with.
func fenced(fence *int64, result error) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		*fence, _ = idempotency.Fence(m.Context())
		return nil, result
	}
}

func TestAParkedMessageRunsForItsTaskAndForNoDuplicate(t *testing.T) {
	r := newRig(t, nil)
	park(t, r.store)
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(0)

	var fence int64
	inside := func(m *message.Message) ([]*message.Message, error) {
		must(t, second(r.deliver(t.Context(), succeed))) // a duplicate that comes meanwhile
		return fenced(&fence, errHandler)(m)
	}
	if err := second(r.mw(inside)(fromTask(3))); err != errHandler || fence != 4 { //nolint:errorlint // as it is
		t.Fatalf("error %v, fence %d; want the handler's own, 4", err, fence)
	}
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(0)

	must(t, second(r.mw(fenced(&fence, nil))(fromTask(4))))
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(0)
	if fence != 5 {
		t.Errorf("fence %d, want 5", fence)
	}
	if err := second(r.mw(fenced(&fence, errHandler))(fromTask(5))); err != nil {
		t.Errorf("the task again, after the effect: %v", err)
	}
	r.facts.want(t, event.Duplicate, event.Duplicate, event.Duplicate, event.Handled, event.Duplicate, event.Duplicate)
}

func TestAParkedMessageRunsInATransactionForItsTaskOnly(t *testing.T) {
	b := newBench(t, nil, nil)
	park(t, b.store)
	must(t, b.deliver(writing))
	b.holds(0, 1)

	var fence int64
	h := func(result error) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if err := write(m); err != nil {
				return nil, err
			}
			return fenced(&fence, result)(m)
		}
	}
	if err := second(b.mw(h(errHandler))(fromTask(3))); err != errHandler || fence != 4 { //nolint:errorlint // as it is
		t.Fatalf("error %v, fence %d; want the handler's own, 4", err, fence)
	}
	must(t, b.deliver(writing))
	b.holds(0, 1) // the rollback left it parked

	must(t, second(b.mw(h(nil))(fromTask(4))))
	must(t, b.deliver(writing))
	must(t, second(b.mw(h(nil))(fromTask(5))))
	b.holds(1, 1)
	if fence != 5 {
		t.Errorf("fence %d, want 5", fence)
	}
	b.facts.want(t, event.Duplicate, event.Duplicate, event.Handled, event.Duplicate, event.Duplicate)
}

// older is a store of somebody's own that knows nothing of Resume.
type older struct{ idempotency.Store }

func (o older) Claim(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	c.Resume = false
	return o.Store.Claim(ctx, c)
}

type olderTx struct{ idempotency.TxStore }

func (o olderTx) ClaimTx(ctx context.Context, tx idempotency.Tx, c idempotency.Claim) (idempotency.Record, error) {
	c.Resume = false
	return o.TxStore.ClaimTx(ctx, tx, c)
}

func TestAStoreThatCannotResumeDoesNotMakeADuplicateOfAParkedMessage(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if !failure.IsUnavailable(err) || !strings.Contains(err.Error(), "did not resume") || strings.Contains(err.Error(), "order-1") {
			t.Errorf("error %v", err)
		}
	}
	r := newRig(t, nil)
	park(t, r.store)
	mw, err := idempotency.New(older{r.store}, idempotency.Config{Handler: "stock", Consumer: "shop"})
	must(t, err)
	check(second(mw(succeed)(fromTask(3))))

	b := newBench(t, nil, nil)
	park(t, b.store)
	mw, err = idempotency.Transaction(idempotency.DB(b.db, nil), olderTx{b.store}, idempotency.TxConfig{Handler: "stock", Consumer: "shop"})
	must(t, err)
	check(second(mw(writing)(fromTask(3))))
	b.holds(0, 1)
}

func TestAParkedMessageGoesPastTheBatch(t *testing.T) {
	single := 0
	mw, err := idempotency.Batch(allNew{}, allNew{}, func(context.Context, []*message.Message) error {
		return errors.New("in a batch")
	}, idempotency.TxConfig{Handler: "stock"}, idempotency.BatchConfig{})
	must(t, err)
	must(t, second(mw(func(*message.Message) ([]*message.Message, error) { single++; return nil, nil })(fromTask(3))))
	if single != 1 {
		t.Errorf("handled %d times as a single message, want once", single)
	}
}
