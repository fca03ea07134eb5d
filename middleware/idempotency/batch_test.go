package idempotency_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// allNew is a store in which no key is known, and a runner without a database.
type allNew struct{ idempotency.TxStore }

func (allNew) ClaimBatchTx(_ context.Context, _ idempotency.Tx, claims []idempotency.Claim) ([]idempotency.Record, error) {
	return slices.Repeat([]idempotency.Record{{Verdict: idempotency.Won}}, len(claims)), nil
}

func (allNew) InTx(ctx context.Context, fn func(context.Context, idempotency.Tx) error) error {
	return fn(ctx, nil)
}

// gathering is Batch around a handler of single messages, whose calls it notes.
type gathering struct {
	h message.HandlerFunc

	mu      sync.Mutex
	batches []string // the UUIDs of each, joined
	singles []string
	active  int
	most    int
}

func gather(t *testing.T, cfg idempotency.BatchConfig, fn func(ctx context.Context, ids string) error) *gathering {
	t.Helper()
	g := &gathering{}
	mw, err := idempotency.Batch(allNew{}, allNew{}, func(ctx context.Context, msgs []*message.Message) error {
		ids := make([]string, len(msgs))
		for i, m := range msgs {
			ids[i] = m.UUID
		}
		g.mu.Lock()
		g.batches = append(g.batches, strings.Join(ids, " "))
		g.active++
		g.most = max(g.most, g.active)
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			g.active--
			g.mu.Unlock()
		}()
		return fn(ctx, strings.Join(ids, " "))
	}, idempotency.TxConfig{Handler: "h"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.h = mw(func(m *message.Message) ([]*message.Message, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.singles = append(g.singles, m.UUID)
		return nil, m.Context().Err()
	})
	return g
}

// seen returns the batches so far.
func (g *gathering) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.batches)
}

// hand hands the messages over in their order and returns their results.
func (g *gathering) hand(ctx context.Context, ids ...string) <-chan error {
	results := make(chan error, len(ids))
	for _, id := range ids {
		go func() {
			_, err := g.h(message.NewMessageWithContext(ctx, id, nil))
			results <- err
		}()
		synctest.Wait()
	}
	return results
}

func all(t *testing.T, results <-chan error) {
	t.Helper()
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func sleeping(d time.Duration) func(context.Context, string) error {
	return func(context.Context, string) error { <-time.After(d); return nil }
}

func TestAnIdleHandlerWaitsForNothingAndABusyOneGathersUntilItsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := gather(t, idempotency.BatchConfig{Linger: 10 * time.Millisecond}, sleeping(100*time.Millisecond))
		first := g.hand(t.Context(), "1")
		if len(g.seen()) != 1 || time.Since(start) != 0 {
			t.Fatalf("after %v: %q", time.Since(start), g.seen())
		}
		second := g.hand(t.Context(), "2", "3")
		<-time.After(9 * time.Millisecond)
		third := g.hand(t.Context(), "4")
		if len(g.seen()) != 1 {
			t.Fatalf("before the linger: %q", g.seen())
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if !slices.Equal(g.seen(), []string{"1", "2 3 4"}) {
			t.Fatalf("%q", g.seen())
		}
		all(t, first)
		all(t, second)
		all(t, third)
		if took := time.Since(start); took != 110*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAFullBatchStartsAtOnceInAFreeLaneAndNoMoreThanTheLanesAreAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, idempotency.BatchConfig{MaxBatch: 2, Lanes: 3, Linger: time.Hour}, sleeping(time.Second))
		results := g.hand(t.Context(), "1", "2", "3", "4", "5", "6", "7", "8", "9")
		all(t, results)
		got := g.seen()
		slices.Sort(got) // lanes that start together are noted in any order
		if want := []string{"1", "2 3", "4 5", "6 7", "8 9"}; !slices.Equal(got, want) || g.most != 3 {
			t.Errorf("%q, %d at a time; want %q, 3", got, g.most, want)
		}
	})
}

func TestABatchThatFailsGoesOnSinglyHoweverItFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("no") },
		"a panic":  func() error { panic("boom") },
		"a Goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gather(t, idempotency.BatchConfig{Lanes: 1}, func(_ context.Context, ids string) error {
					<-time.After(time.Second)
					if strings.Contains(ids, "poison") {
						return fail()
					}
					return nil
				})
				all(t, g.hand(t.Context(), "1", "2", "poison", "3"))
				all(t, g.hand(t.Context(), "4")) // the lane is free again
				slices.Sort(g.singles)
				if !slices.Equal(g.seen(), []string{"1", "2 poison 3", "4"}) || !slices.Equal(g.singles, []string{"2", "3", "poison"}) {
					t.Errorf("batches %q, singles %q", g.seen(), g.singles)
				}
			})
		})
	}
}

func TestADeliveryThatIsGivenUpWhileItWaitsIsNotHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, idempotency.BatchConfig{Lanes: 1}, sleeping(time.Second))
		first := g.hand(t.Context(), "1")
		ctx, cancel := context.WithCancel(t.Context())
		given, kept := g.hand(ctx, "2"), g.hand(t.Context(), "3")
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		all(t, first)
		all(t, kept)
		if !slices.Equal(g.seen(), []string{"1", "3"}) {
			t.Errorf("%q", g.seen())
		}
	})
}

func TestABatchEndsWithTheLastOfItsMessagesAndNotWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, idempotency.BatchConfig{Lanes: 1}, func(ctx context.Context, ids string) error {
			if ids == "0" {
				<-time.After(time.Second)
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		all(t, g.hand(t.Context(), "0"))
		first := g.hand(t.Context(), "0")
		one, cancelOne := context.WithCancel(t.Context())
		cause := errors.New("closing")
		two, cancelTwo := context.WithCancelCause(t.Context())
		given, last := g.hand(one, "1"), g.hand(two, "2")
		all(t, first)
		synctest.Wait()
		cancelOne()
		synctest.Wait()
		if len(g.singles) != 0 {
			t.Fatalf("the end of one message undid the other: %q", g.singles)
		}
		cancelTwo(cause)
		if err := errors.Join(<-given, <-last); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestAMessageWithoutAKeyGoesOnSingly(t *testing.T) {
	g := gather(t, idempotency.BatchConfig{}, func(context.Context, string) error { return nil })
	if _, err := g.h(message.NewMessage("", nil)); err != nil || len(g.seen()) != 0 || len(g.singles) != 1 {
		t.Errorf("%v, batches %q, singles %q", err, g.seen(), g.singles)
	}
}

func TestABatchThatCannotWorkIsRefused(t *testing.T) {
	_, err := idempotency.Batch(nil, nil, nil, idempotency.TxConfig{Retention: -1}, idempotency.BatchConfig{Lanes: -1})
	for _, want := range []string{"runner: is nil", "store:", "fn: is nil", "TxConfig.Retention", "BatchConfig.Lanes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
}

// BenchmarkBatch is what gathering costs a message, without a database.
func BenchmarkBatch(b *testing.B) {
	mw, err := idempotency.Batch(allNew{}, allNew{}, func(context.Context, []*message.Message) error { return nil },
		idempotency.TxConfig{Handler: "h"}, idempotency.BatchConfig{})
	if err != nil {
		b.Fatal(err)
	}
	h := mw(succeed)
	b.ReportAllocs()
	b.SetParallelism(200)
	b.RunParallel(func(pb *testing.PB) {
		msg := message.NewMessage("", nil)
		for n := 0; pb.Next(); n++ {
			msg.UUID = strconv.Itoa(n)
			if _, err := h(msg); err != nil {
				b.Error(err)
			}
		}
	})
}
