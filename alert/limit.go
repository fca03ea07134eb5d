package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

const (
	// window is what a channel's rate counts in. It slides: a bucket that fills
	// evenly would let twice the rate through in some minute.
	window = time.Minute
	// brokenFor is how long at most a channel that refused for good is left alone,
	// before one notification tries whether it was mended.
	brokenFor = 10 * time.Minute
)

// load is the document of a row of KindChannel, which the replicas share.
type load struct {
	Slots  []slot    `json:"slots,omitempty"` // of the last minute, oldest first
	Hold   time.Time `json:"hold,omitzero"`   // nothing before
	Broken *broken   `json:"broken,omitempty"`
	// Digest is who puts what was held back into one notification.
	Digest      string    `json:"digest,omitempty"`
	DigestUntil time.Time `json:"digest_until,omitzero"`
}

// slot is one notification. Until it has been sent, At is when it will have been
// at the latest, so that a process which ends meanwhile leaves no gap.
type slot struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

type broken struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // tried again then
	Reason string    `json:"reason"`
}

// permit is whether a notification may go to a channel now.
type permit struct {
	until  time.Time // not before; zero: now
	broken bool      // and until then the fallback is used
	busy   bool      // another replica puts what was held back into a digest
}

func (p permit) granted() bool { return p.until.IsZero() }

// reserve takes a slot for the notification id.
func (n *Notifier) reserve(ctx context.Context, s State, c *channel, id string, digest bool) (permit, error) {
	var out permit
	err := change(ctx, s, KindChannel, c.name, func(l *load, now time.Time) fate {
		out = permit{}
		leave := fate{leave: true}
		l.Slots = slices.DeleteFunc(l.Slots, func(x slot) bool { return now.Sub(x.At) >= window })
		slices.SortFunc(l.Slots, func(a, b slot) int { return a.At.Compare(b.At) })
		switch {
		case l.Broken != nil && l.Broken.Until.After(now):
			out = permit{until: l.Broken.Until, broken: true}
		case l.Hold.After(now):
			out = permit{until: l.Hold}
		case digest && l.DigestUntil.After(now):
			out = permit{until: l.DigestUntil, busy: true}
		case !c.Unlimited && len(l.Slots) >= c.Rate:
			out = permit{until: l.Slots[len(l.Slots)-c.Rate].At.Add(window)}
		}
		if !out.granted() || (c.Unlimited && !digest) {
			return leave
		}
		if !c.Unlimited {
			l.Slots = append(l.Slots, slot{ID: id, At: now.Add(n.plan.cfg.SendTimeout)})
		}
		if digest {
			l.Digest, l.DigestUntil = id, now.Add(n.lease())
		}
		return fate{}
	})
	if err != nil {
		return permit{}, fmt.Errorf("reserve a place in alert channel %s: %w", c.name, err)
	}
	return out, nil
}

// ending is how a reservation ended.
type ending struct {
	unused bool
	err    error // of the Sender
}

// release settles a reservation, and returns until when the channel takes nothing;
// the zero time: it does. That a channel is broken, or is mended, is told.
func (n *Notifier) release(ctx context.Context, s State, c *channel, id string, e ending) (until time.Time, err error) {
	breaks, mends := false, false
	err = change(ctx, s, KindChannel, c.name, func(l *load, now time.Time) fate {
		was := l.Broken != nil
		until = time.Time{}
		write := l.free(id, now, e.unused)
		if !e.unused {
			u, changed := n.learn(l, e.err, now)
			until, write = u, write || changed
		}
		breaks, mends = l.Broken != nil && e.err != nil && verdictOf(e.err).Permanent, was && l.Broken == nil
		return fate{leave: !write}
	})
	if err != nil {
		return until, fmt.Errorf("settle with alert channel %s: %w", c.name, err)
	}
	if breaks { // again each time: it is, as long as that comes
		n.Emit(breakAlert(c, e.err))
	}
	if mends {
		n.Resolve(breakAlert(c, errMended))
	}
	return until, nil
}

var errMended = errors.New("it accepts again")

// free settles the slot and the digest of a reservation.
func (l *load) free(id string, now time.Time, unused bool) (changed bool) {
	if l.Digest == id {
		l.Digest, l.DigestUntil, changed = "", time.Time{}, true
	}
	for i := range l.Slots {
		if l.Slots[i].ID == id {
			l.Slots[i].At, changed = now, true
		}
	}
	if unused {
		l.Slots = slices.DeleteFunc(l.Slots, func(x slot) bool { return x.ID == id })
	}
	return changed
}

// learn takes in what a Sender answered.
func (n *Notifier) learn(l *load, answer error, now time.Time) (until time.Time, changed bool) {
	v := verdictOf(answer)
	switch {
	case answer == nil:
		changed = l.Broken != nil
		l.Broken = nil
	case v.Permanent:
		b := &broken{Since: now, Reason: text.Short(v.Err.Error(), maxReason)}
		if l.Broken != nil {
			b.Since = l.Broken.Since
		}
		// Soon enough for the alert about it not to seem resolved meanwhile.
		b.Until = now.Add(min(brokenFor, n.plan.cfg.Quiet/2))
		l.Broken, until, changed = b, b.Until, true
	case !v.Until.IsZero():
		// By how much, as the clocks of the service and the state may differ.
		until = now.Add(time.Until(v.Until))
		l.Hold, changed = latest(l.Hold, until), true
	}
	return until, changed
}

// verdictOf is what to do about an error of a Sender.
func verdictOf(err error) SendError {
	var e *SendError
	if errors.As(err, &e) {
		v := *e
		if v.Err == nil {
			v.Err = errors.New("it does not say why")
		}
		return v
	}
	return SendError{Retryable: true, Err: err}
}

// lease is how long a replica may take to send and to save.
func (n *Notifier) lease() time.Duration { return n.plan.cfg.SendTimeout + 20*time.Second }
