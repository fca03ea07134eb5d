package latency

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Times collects durations. It may be used from many goroutines.
type Times struct {
	mu     sync.Mutex
	values []time.Duration
}

// Add adds one.
func (t *Times) Add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values = append(t.values, d)
}

// Len returns how many there are.
func (t *Times) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.values)
}

// Percentile returns, in milliseconds, the smallest value that p percent do not
// exceed (nearest rank), or 0 where there is none.
func (t *Times) Percentile(p float64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[max(rank, 1)-1]) / float64(time.Millisecond)
}
