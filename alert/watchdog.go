package alert

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// pulse is the document of the row of KindWatchdog.
type pulse struct {
	At time.Time `json:"at"`
}

const pulseID = "watchdog"

// startWatchdog has a row whose due time is the next heartbeat's.
func (n *Notifier) startWatchdog(ctx context.Context, s State) error {
	w := n.plan.cfg.Watchdog
	return change(ctx, s, KindWatchdog, pulseID, func(p *pulse, now time.Time) fate {
		if w.Channel == "" || p.At.After(now.Add(-2*w.Every)) {
			return fate{leave: true}
		}
		p.At = now
		return fate{due: now}
	})
}

// pulse gives the heartbeat that is due to its lane, where no other replica does.
func (n *Notifier) pulse(ctx context.Context, s State) error {
	w := n.plan.cfg.Watchdog
	mine := false
	err := change(ctx, s, KindWatchdog, pulseID, func(p *pulse, now time.Time) fate {
		mine = false
		if p.At.After(now) {
			return fate{leave: true}
		}
		if w.Channel == "" { // it was configured away
			return fate{remove: true}
		}
		mine, p.At = true, now.Add(w.Every)
		return fate{due: p.At}
	})
	if mine && err == nil {
		n.lanes[w.Channel].beat(s)
	}
	return err
}

// heartbeat sends one. One that fails is not sent later: its absence is what it
// has to tell.
func (l *lane) heartbeat(ctx context.Context, s State) error {
	id := uuid.NewString()
	p, err := l.n.reserve(ctx, s, l.channel, id, false)
	if err != nil || !p.granted() {
		return err
	}
	now := time.Now()
	err = l.send(ctx, Notification{
		Status: Firing, Name: WatchdogName, Severity: Info, Count: 1, New: 1, First: now, Last: now, At: now,
		Summary: "Alerts reach this channel. Where this stops, they do not.", Fingerprint: hash("watchdog"),
	})
	_, relErr := l.n.release(ctx, s, l.channel, id, ending{err: err})
	if err != nil && ctx.Err() == nil {
		l.n.plan.cfg.Logger.Warn("alert channel failed", "channel", l.channel.name, "alert", WatchdogName, "error", err)
	}
	return relErr
}
