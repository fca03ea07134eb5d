package alertmanager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/promalert"
)

// batch is how many alerts one request of Run has.
const batch = 100

// ErrRunning says that Run was called while it ran.
var ErrRunning = errors.New("alertmanager channel is running already")

// Run tells Alertmanager again of what fires, each Config.Resend, until ctx ends,
// and returns nil. What could not be sent is sent the next time. It must not
// run twice at the same time; it may run again.
func (c *Channel) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return ErrRunning
	}
	c.running = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.running = false
		c.mu.Unlock()
	}()
	known := c.restore(ctx)
	tick := time.NewTicker(c.cfg.Resend)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !known {
			known = c.restore(ctx)
		}
		c.resend(ctx)
	}
}

// restore asks for what fired before this process began.
func (c *Channel) restore(ctx context.Context) bool {
	if c.cfg.Active == nil {
		return true
	}
	list, err := c.cfg.Active(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.cfg.Logger.Warn("active alerts not known", "error", err)
		}
		return false
	}
	for _, n := range list {
		if n.Status != alert.Resolved {
			c.remember(c.list(n))
		}
	}
	c.resend(ctx)
	return true
}

func (c *Channel) resend(ctx context.Context) {
	c.mu.Lock()
	oldest := c.cfg.Now().Add(-c.cfg.Forget)
	maps.DeleteFunc(c.active, func(_ string, a active) bool { return a.told.Before(oldest) })
	list := make([]promalert.Alert, 0, len(c.active))
	for _, fingerprint := range slices.Sorted(maps.Keys(c.active)) {
		list = append(list, c.active[fingerprint].alert)
	}
	c.mu.Unlock()
	for chunk := range slices.Chunk(list, batch) {
		if err := c.again(ctx, chunk); err != nil {
			if ctx.Err() == nil {
				c.cfg.Logger.Warn("active alerts not sent again", "alerts", len(chunk), "error", err)
			}
			return
		}
	}
}

func (c *Channel) again(ctx context.Context, list []promalert.Alert) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if list = c.still(list); len(list) == 0 {
		return nil
	}
	return c.post(ctx, list)
}

// still drops what was resolved since the list was made: sent now, it would
// come to life again.
func (c *Channel) still(list []promalert.Alert) []promalert.Alert {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(list, func(a promalert.Alert) bool {
		_, fires := c.active[a.Fingerprint()]
		return !fires
	})
}

func (c *Channel) remember(list []promalert.Alert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range list {
		fingerprint := a.Fingerprint()
		if a.Status() == alert.Resolved {
			delete(c.active, fingerprint)
			continue
		}
		if _, known := c.active[fingerprint]; known || len(c.active) < c.cfg.MaxActive {
			c.active[fingerprint] = active{alert: a, told: c.cfg.Now()}
		}
	}
}
