package forwarder

import (
	"context"
	"time"

	delay "github.com/sluicegate/sluicegate/internal/backoff"
)

// backoff grows from low to high by doubling. The zero count is the first wait.
type backoff struct {
	low, high time.Duration
	count     int
}

// next returns the wait before the next attempt, between half of it and all of
// it, so that relays that failed together do not come back together.
func (b *backoff) next() time.Duration {
	d := grow(b.low, b.high, b.count)
	b.count++
	return delay.Half(d)
}

func (b *backoff) reset() { b.count = 0 }

// grow doubles low count times, at most to high.
func grow(low, high time.Duration, count int) time.Duration {
	return delay.Policy{Initial: low, Max: high, Multiplier: 2}.Delay(count + 1)
}

// wait sleeps for d, or until wake is signalled, or ctx ends. It reports whether
// ctx goes on. A nil wake never is.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
