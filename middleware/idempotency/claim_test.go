package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestADuplicateDoesNotRunAndReturnsTheFirstOutputs(t *testing.T) {
	r := newRig(t, nil)
	out := message.NewMessage("out-1", nil)
	out.Metadata.Set("k", "v")
	first, err := r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{out, message.NewMessage("out-2", message.Payload{})}, nil
	})
	must(t, err)
	second, err := r.deliver(t.Context(), failing)
	must(t, err)
	r.ran(1)
	if len(second) != 2 {
		t.Fatalf("%d outputs, want 2", len(second))
	}
	for i := range second {
		if !second[i].Equals(first[i]) || (second[i].Payload == nil) != (first[i].Payload == nil) {
			t.Errorf("output %d: %+v, want %+v", i, second[i], first[i])
		}
	}
	r.facts.want(t, event.Handled, event.Duplicate)
}

func TestAFailedMessageRunsAgainWithAHigherFence(t *testing.T) {
	r := newRig(t, nil)
	var fences []int64
	h := func(result error) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			n, _ := idempotency.Fence(m.Context())
			fences = append(fences, n)
			return nil, result
		}
	}
	if _, err := r.deliver(t.Context(), h(errHandler)); err != errHandler { //nolint:errorlint // as it is
		t.Fatalf("error %v, want the handler's own", err)
	}
	must(t, second(r.deliver(t.Context(), h(nil))))
	r.ran(2)
	if fences[0] != 1 || fences[1] != 2 {
		t.Errorf("fences %d, want 1 and 2", fences)
	}
	if _, ok := idempotency.Fence(t.Context()); ok {
		t.Error("there is a fence outside a handler")
	}
}

func second(_ []*message.Message, err error) error { return err }

func TestAPanicReleasesTheRecordAndGoesOn(t *testing.T) {
	r := newRig(t, nil)
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic was lost")
			}
		}()
		_, _ = r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) { panic("boom") })
	}()
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(2)
}

func TestAShutdownMarksNothing(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.deliver(ctx, func(m *message.Message) ([]*message.Message, error) {
		cancel()
		<-m.Context().Done()
		return nil, m.Context().Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(2)
}

func TestAnEffectThatEndsDuringAShutdownIsStillMarked(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	must(t, second(r.deliver(ctx, func(*message.Message) ([]*message.Message, error) {
		cancel()
		return nil, nil
	})))
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(1)
}

func TestOfManyDeliveriesAtOnceOneRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mw, err := idempotency.New(memorystore.New(), idempotency.Config{Handler: "h", BusyWait: time.Minute})
		must(t, err)
		var runs atomic.Int64
		h := mw(func(*message.Message) ([]*message.Message, error) {
			runs.Add(1)
			pass(10 * time.Second)
			return []*message.Message{message.NewMessage("out", nil)}, nil
		})
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				out, err := h(newMessage(t.Context()))
				if err != nil || len(out) != 1 || out[0].UUID != "out" {
					t.Errorf("outputs %v, error %v", out, err)
				}
			})
		}
		wg.Wait()
		if runs.Load() != 1 {
			t.Errorf("the handler ran %d times, want once", runs.Load())
		}
	})
}

func TestABusyMessageGoesBackWithoutAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "other", Lease: time.Hour})
		must(t, err)
		began := time.Now()
		_, err = r.deliver(t.Context(), succeed)
		if !failure.IsUnavailable(err) || !errors.Is(err, idempotency.ErrBusy) || strings.Contains(err.Error(), "order-1") {
			t.Errorf("error %v, want ErrBusy marked as unavailable, without the key", err)
		}
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("waited %v, want BusyWait, 2s", waited)
		}
		r.ran(0)
		r.facts.want(t, event.Busy)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = r.deliver(ctx, succeed); !errors.Is(err, context.DeadlineExceeded) || failure.IsUnavailable(err) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}
