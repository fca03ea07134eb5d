package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

// ErrNotFiring says that no group with this fingerprint fires.
var ErrNotFiring = errors.New("no such group of alerts is firing")

// Active is a group that fires.
type Active struct {
	Notification                  // what a channel that was never told of it would get
	Ack          *Acknowledgement // nil: nobody has taken it on
	Told         map[string]time.Time
}

// Active returns the groups that fire by now, in the order of their fingerprints.
func (n *Notifier) Active(ctx context.Context) ([]Active, error) {
	s := n.plan.cfg.State
	rows, err := all(ctx, s, KindGroup)
	if err != nil {
		return nil, fmt.Errorf("list alerts: %w", err)
	}
	_, now, err := s.Get(ctx, KindWatchdog, pulseID)
	if err != nil {
		return nil, fmt.Errorf("list alerts: %w", err)
	}
	var out []Active
	for _, row := range rows {
		g := &group{}
		if json.Unmarshal(row.Data, g) != nil {
			continue
		}
		firing := n.plan.firing(g, now)
		if len(firing) == 0 {
			continue
		}
		a := Active{Ack: g.Ack, Told: map[string]time.Time{}}
		for name, o := range g.Outlet {
			if len(o.Firing) > 0 {
				a.Told[name] = o.At
			}
		}
		a.Notification = n.plan.notification(g, row.ID, &channel{}, firing, now, first)
		out = append(out, a)
	}
	return out, nil
}

// Acknowledge says that somebody has taken on the group with the fingerprint of
// its notifications: escalations that wait for nobody to do so do not happen. It
// counts until the group is over. The error is ErrNotFiring where it is.
func (n *Notifier) Acknowledge(ctx context.Context, fingerprint, by string) error {
	found := false
	err := n.changeGroup(ctx, n.plan.cfg.State, fingerprint, func(g *group, now time.Time) bool {
		if found = len(n.plan.firing(g, now)) > 0; found {
			g.Ack = &Acknowledgement{By: text.Short(by, maxKey), At: now}
		}
		return found
	})
	switch {
	case err != nil:
		return fmt.Errorf("acknowledge alert: %w", err)
	case !found:
		return fmt.Errorf("acknowledge alert: %w", ErrNotFiring)
	}
	return nil
}
