package alert

import (
	"context"
	"errors"
	"time"
)

// flush writes what was emitted, and reports whether there was anything.
func (n *Notifier) flush(ctx context.Context) bool {
	list := n.pending.take()
	var err error // the first is enough: a state that is away takes its time to say so
	for i, o := range list {
		if err == nil {
			err = n.record(ctx, n.plan.cfg.State, o)
			n.healthy(ctx, n.plan.cfg.State, err)
		}
		if err == nil {
			if o.count == 0 && n.alone() { // it may have been told from here
				_ = n.record(ctx, n.local, o)
			}
			continue
		}
		if n.away() && n.record(ctx, n.local, o) == nil {
			continue
		}
		for _, o := range list[i:] {
			n.pending.putBack(o)
		}
		break
	}
	return len(list) > 0
}

// alone reports whether there is a state of this replica beside the shared one.
func (n *Notifier) alone() bool { return n.plan.cfg.State != State(n.local) }

// record writes an occurrence into its group.
func (n *Notifier) record(ctx context.Context, s State, o *occurrence) error {
	var counted int64
	var began bool
	local := time.Now()
	err := n.changeGroup(ctx, s, o.group, func(g *group, now time.Time) bool {
		if o.count == 0 && len(g.Members) == 0 {
			return false
		}
		counted, began = n.plan.merge(g, o.shifted(now.Sub(local)), now)
		return true
	})
	if err == nil && counted > 0 {
		n.count(func(s *Stats) {
			if began {
				counted--
			}
			s.Suppressed += counted
		})
	}
	return err
}

// shifted returns o with its times by the state's clock.
func (o *occurrence) shifted(by time.Duration) *occurrence {
	c := *o
	c.first, c.last = o.first.Add(by), o.last.Add(by)
	if !o.over.IsZero() {
		c.over = o.over.Add(by)
	}
	c.samples = make([]Sample, len(o.samples))
	for i, s := range o.samples {
		s.At = s.At.Add(by)
		c.samples[i] = s
	}
	return &c
}

// healthy keeps account of whether the state works.
func (n *Notifier) healthy(ctx context.Context, s State, err error) {
	if ctx.Err() != nil || s != n.plan.cfg.State {
		return
	}
	n.mu.Lock()
	was := n.awaySince
	switch {
	case err == nil || errors.Is(err, ErrConflict):
		n.awaySince = time.Time{}
	case was.IsZero():
		n.awaySince = time.Now()
	}
	n.mu.Unlock()
	switch {
	case err != nil && was.IsZero():
		n.plan.cfg.Logger.Error("alert state is away", "error", err)
	case err == nil && !was.IsZero():
		n.plan.cfg.Logger.Info("alert state is back", "away", time.Since(was).Round(time.Second))
	}
}

func (n *Notifier) away() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.alone() && !n.awaySince.IsZero() && time.Since(n.awaySince) >= patience
}

// trouble notes that something in the state did not work; it is tried again.
func (n *Notifier) trouble(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, errElsewhere) {
		n.plan.cfg.Logger.Warn("alert state failed", "error", err)
	}
}
