package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

func TestTheBoundGrowsByTheMultiplierUpToTheCap(t *testing.T) {
	p := backoff.Policy{Initial: 20 * time.Millisecond, Max: 150 * time.Millisecond, Multiplier: 2}
	for i, want := range []int{20, 40, 80, 150, 150} {
		if got := p.Delay(i + 1); got.Milliseconds() != int64(want) {
			t.Errorf("after %d failures: %s, want %dms", i+1, got, want)
		}
	}
	if got := p.Delay(math.MaxInt); got != p.Max {
		t.Errorf("a huge count must stay at the cap, got %s", got)
	}
}

func TestFullJitterStaysBetweenZeroAndTheBoundAndUsesBothHalves(t *testing.T) {
	p := backoff.Policy{Initial: time.Second, Max: 2 * time.Second, Multiplier: 10, Jitter: true}
	var low, high int
	for range 1000 {
		switch d := p.Delay(5); {
		case d < 0 || d > p.Max:
			t.Fatalf("%s is out of bounds", d)
		case d < p.Max/2:
			low++
		default:
			high++
		}
	}
	if low < 350 || high < 350 {
		t.Fatalf("not spread evenly: %d below and %d above the middle", low, high)
	}
}

func TestWaitEndsWithTheTimeOrWithTheContextAndItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := backoff.Wait(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		cause := errors.New("shutdown")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start = time.Now()
		if err := backoff.Wait(ctx, time.Hour); !errors.Is(err, cause) || time.Since(start) != time.Second {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		if err := backoff.Wait(ctx, 0); !errors.Is(err, cause) {
			t.Fatalf("an ended context must be told without a wait too, got %v", err)
		}
	})
}
