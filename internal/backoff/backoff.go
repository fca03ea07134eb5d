// Package backoff computes and keeps the delays between attempts.
package backoff

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// Policy is a capped exponential backoff.
type Policy struct {
	Initial    time.Duration // delay after the first failure, before jitter
	Max        time.Duration // cap, before jitter
	Multiplier float64       // growth, at least 1
	Jitter     bool          // full jitter
}

// Delay returns the delay after the given number of failures, from 1 on:
//
//	sleep = random_between(0, min(cap, base * multiplier ^ (failures - 1)))
//
// the "Full Jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015. Without jitter it is the upper bound itself. Jitter
// comes after the cap, so that the cap holds. Each call draws anew: compute
// once for each wait.
func (p Policy) Delay(failures int) time.Duration {
	upper := p.bound(failures)
	if !p.Jitter || upper <= 0 {
		return upper
	}
	return rand.N(upper + 1)
}

func (p Policy) bound(failures int) time.Duration {
	// In floating point, so that a large power saturates instead of overflowing.
	f := float64(p.Initial) * math.Pow(p.Multiplier, float64(max(failures, 1)-1))
	if f >= float64(p.Max) || math.IsNaN(f) {
		return p.Max
	}
	return time.Duration(f)
}

// Half returns d with half of it random, the "Equal Jitter" of the same source:
// those who failed together do not come back together, and nobody at once.
func Half(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d/2+1)
}

// Wait waits for d or the end of ctx, whose cause it then returns.
func Wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
