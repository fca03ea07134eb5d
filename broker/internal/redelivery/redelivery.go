// Package redelivery is how long drivers wait before they deliver a nacked
// message again.
package redelivery

import (
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
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
	return backoff.Half(backoff.Policy{Initial: b.First, Max: b.Max, Multiplier: 2}.Delay(nacks))
}
