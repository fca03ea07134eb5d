// Package redelivery is how long drivers wait before they deliver a nacked
// message again.
package redelivery

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Backoff doubles from First up to Max. Half of each wait is random, so that
// messages that failed together do not come back together.
type Backoff struct {
	First, Max time.Duration
}

// FromQuery reads nack_delay and nack_delay_max; b holds the defaults.
func (b Backoff) FromQuery(q *urlparam.Query) Backoff {
	first := q.Duration("nack_delay", b.First, time.Millisecond, time.Hour)
	_, given := q.Lookup("nack_delay_max")
	limit := q.Duration("nack_delay_max", b.Max, time.Millisecond, time.Hour)
	if limit < first {
		if given {
			q.Problem("nack_delay_max", "must not be less than nack_delay")
		}
		limit = first
	}
	return Backoff{First: first, Max: limit}
}

// Delay returns the wait after the given number of nacks, from 1 on.
func (b Backoff) Delay(nacks int) time.Duration {
	d := b.First
	for i := 1; i < nacks && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	return d/2 + rand.N(d/2+1)
}

// Wait waits for d. It returns at once when ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
