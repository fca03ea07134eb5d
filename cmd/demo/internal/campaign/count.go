package campaign

import (
	"maps"
	"strings"
	"sync"

	"github.com/sluicegate/sluicegate"
)

// counts are what the stacks told.
type counts struct {
	mu           sync.Mutex
	retried      int
	deduplicated int
	ended        map[string]int // messages handled or set aside, by service
	handled      map[string]int
}

func newCounts() *counts { return &counts{ended: map[string]int{}, handled: map[string]int{}} }

func (c *counts) observe(e sluicegate.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	service := e.Handler[strings.LastIndex(e.Handler, "/")+1:]
	switch e.Kind {
	case sluicegate.Retried:
		c.retried++
	case sluicegate.Duplicate:
		c.deduplicated++
	case sluicegate.Handled:
		c.handled[service]++
		c.ended[service]++
	case sluicegate.DeadLettered:
		c.ended[service]++
	default:
	}
}

// snapshot returns copies.
func (c *counts) snapshot() (retried, deduplicated int, handled, ended map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retried, c.deduplicated, maps.Clone(c.handled), maps.Clone(c.ended)
}
