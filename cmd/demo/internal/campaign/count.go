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
	parked       map[message]bool // that were parked, once or often
}

// message is one of a handler.
type message struct{ handler, key string }

func newCounts() *counts {
	return &counts{ended: map[string]int{}, handled: map[string]int{}, parked: map[message]bool{}}
}

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
	case sluicegate.Parked:
		c.parked[message{e.Handler, e.Key}] = true
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

// parkedEver returns how many messages were parked.
func (c *counts) parkedEver() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.parked)
}
