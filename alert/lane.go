package alert

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// item is a group that a channel may have to be told of.
type item struct {
	state State
	id    string
}

// batch is what becomes due for each lane, with whether it was held back before.
type batch map[*lane][]due

type due struct {
	item
	deferred bool
}

// lane tells one channel, one notification after the other, so that a channel
// that hangs delays no other.
type lane struct {
	n       *Notifier
	channel *channel
	wake    chan struct{}

	mu      sync.Mutex
	queue   []item
	waiting map[item]bool // in the queue, with whether it was held back before
	taken   int           // out of the queue, and not done with
	beats   []State       // a heartbeat is due
}

// push adds to what waits: all at once, so that what was held back makes one digest.
func (l *lane) push(list []due) {
	l.mu.Lock()
	for _, d := range list {
		if _, ok := l.waiting[d.item]; !ok {
			l.queue = append(l.queue, d.item)
		}
		l.waiting[d.item] = d.deferred
	}
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) beat(s State) {
	l.mu.Lock()
	if len(l.beats) == 0 {
		l.beats = append(l.beats, s)
	}
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take empties the queue: what was held back before, and what was not.
func (l *lane) take() (deferred, fresh []item, beats []State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.queue {
		if l.waiting[it] {
			deferred = append(deferred, it)
		} else {
			fresh = append(fresh, it)
		}
	}
	beats = l.beats
	l.queue, l.beats, l.taken = nil, nil, len(l.queue)
	clear(l.waiting)
	return deferred, fresh, beats
}

// hand is how many groups the lane has at hand, which stay due until they are told.
func (l *lane) hand() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + l.taken
}

func (l *lane) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = 0
}

func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			if l.work(ctx, false) {
				l.n.nudge() // what it has changed may be due again
			}
		}
	}
}

// work tells the channel of all that waits, and reports whether the state did as
// it should. With force it does so before the time: there is no later.
func (l *lane) work(ctx context.Context, force bool) bool {
	deferred, fresh, beats := l.take()
	defer l.done()
	var errs []error
	for _, s := range beats {
		if ctx.Err() == nil {
			errs = append(errs, l.heartbeat(ctx, s))
		}
	}
	for state, items := range byState(deferred) {
		// One alone too: the others may be in a digest of another replica's by now.
		errs = append(errs, l.digest(ctx, state, items, force))
	}
	away := map[State]bool{} // each call of a state that is away takes its time
	for _, it := range fresh {
		if ctx.Err() != nil {
			break // the drain, or another replica, finds it in the state
		}
		if away[it.state] {
			continue
		}
		j, err := l.claim(ctx, it, force)
		if err == nil && j != nil {
			err = l.tell(ctx, it.state, []*job{j}, "")
		}
		away[it.state] = err != nil
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	l.n.trouble(ctx, err)
	return err == nil
}

func byState(items []item) map[State][]item {
	out := map[State][]item{}
	for _, it := range items {
		out[it.state] = append(out[it.state], it)
	}
	return out
}

// job is a group that is leased for being told.
type job struct {
	item
	token    string
	note     Notification
	firing   []string
	severity Severity
	count    int64
	began    time.Time // the episode
}

// claim leases the group for this channel where there is something to tell.
func (l *lane) claim(ctx context.Context, it item, force bool) (j *job, err error) {
	token := uuid.NewString()
	muted := false
	err = l.n.changeGroup(ctx, it.state, it.id, func(g *group, now time.Time) bool {
		j, muted = nil, false
		t, ok := l.target(g)
		if !ok {
			return false
		}
		o := g.Outlet[l.channel.name]
		if o != nil && o.LeaseUntil.After(now) {
			return false
		}
		why := l.n.plan.why(g, t, now)
		early := l.n.plan.wake(g, t, now).After(now) && (!force || !t.from.IsZero())
		if why == nothing || early {
			return why == nothing // its due time may have to move
		}
		if o == nil {
			o = &outlet{}
			g.Outlet[l.channel.name] = o
		}
		firing, until, kept := l.unmuted(g, now)
		if kept == len(g.Members) || (kept > 0 && decide(o, firing, now, l.channel.Repeat) == nothing) {
			muted, o.Muted = true, now
			o.NotBefore = now.Add(l.channel.GroupInterval)
			if until.After(now) {
				o.NotBefore = earlier(o.NotBefore, until)
			}
			return true
		}
		j = &job{item: it, token: token, firing: firing, severity: g.Severity, count: g.Count, began: g.Begun}
		j.note = l.n.plan.notification(g, it.id, l.channel, firing, o.decided(g.Count, firing, now), why)
		o.Lease, o.LeaseUntil = token, now.Add(l.n.lease())
		return true
	})
	if muted && err == nil {
		l.n.count(func(s *Stats) { s.Muted++ })
	}
	return j, err
}

func (l *lane) target(g *group) (target, bool) {
	for _, t := range l.n.plan.targets(g) {
		if t.channel == l.channel {
			return t, true
		}
	}
	return target{}, false
}

// unmuted returns what fires and is not kept back, how many are kept back, firing
// or not, and until when at least.
func (l *lane) unmuted(g *group, now time.Time) (firing []string, until time.Time, kept int) {
	m := l.n.muted.Load()
	for id, member := range g.Members {
		if t, ok := m.mutes(member.head, id, now); ok {
			kept, until = kept+1, latest(until, t)
		}
	}
	for _, id := range l.n.plan.live(g, g.Outlet[l.channel.name], now) {
		if _, ok := m.mutes(g.Members[id].head, id, now); !ok {
			firing = append(firing, id)
		}
	}
	return firing, until, kept
}
