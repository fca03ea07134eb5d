package load

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate"
)

// counts are what was placed and what the stacks told.
type counts struct {
	placed                  atomic.Int64
	stock, points, shipping atomic.Int64
	lastAt                  atomic.Int64 // when one of the three handled a message, in nanoseconds
	duplicates, set         atomic.Int64
}

func (c *counts) observe(e sluicegate.Event) {
	switch e.Kind {
	case sluicegate.Handled:
	case sluicegate.Duplicate:
		c.duplicates.Add(1)
		return
	case sluicegate.DeadLettered:
		c.set.Add(1)
		return
	default:
		return
	}
	switch {
	case strings.HasSuffix(e.Handler, "/stock"):
		c.stock.Add(1)
	case strings.HasSuffix(e.Handler, "/points"):
		c.points.Add(1)
	case strings.HasSuffix(e.Handler, "/shipping"):
		c.shipping.Add(1)
	default:
		return
	}
	c.lastAt.Store(time.Now().UnixNano())
}

// applied is how many orders all three services have handled.
func (c *counts) applied() int {
	return int(min(c.stock.Load(), c.points.Load(), c.shipping.Load()))
}

// backlog is how many orders are placed and not yet applied by all three.
func (c *counts) backlog() int {
	applied := c.applied() // first: what is placed meanwhile must not make it negative
	return int(c.placed.Load()) - applied
}

func (c *counts) last() time.Time { return time.Unix(0, c.lastAt.Load()) }
