package alert

import (
	"slices"
	"time"
)

// reason is why a channel is told of a group.
type reason string

const (
	nothing       reason = ""
	first         reason = "first"
	newInGroup    reason = "new in group"
	allResolved   reason = "all resolved"
	newlyResolved reason = "newly resolved"
	worse         reason = "worse"
	repeated      reason = "repeat"
)

// decide says whether a channel that was told o is to be told that firing fires
// now, and why.
func decide(o *outlet, firing []string, now time.Time, repeat time.Duration) reason {
	told := o != nil && !o.At.IsZero()
	switch {
	case !told && len(firing) == 0:
		return nothing // fired and resolved before anybody was told
	case !told:
		return first
	case !subset(firing, o.Firing):
		return newInGroup
	case len(firing) == 0 && len(o.Firing) == 0:
		return nothing // nor did they hear that it fired
	case len(firing) == 0:
		return allResolved
	case len(firing) < len(o.Firing):
		return newlyResolved
	case !now.Before(o.At.Add(repeat)):
		return repeated
	default:
		return nothing
	}
}

func subset(of, all []string) bool {
	for _, s := range of {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// target is a channel that a group goes to.
type target struct {
	channel *channel
	from    time.Time // not before this; zero: at once
	endOnly bool      // it is told only that the group is over
}

// targets returns the channels of g, each once, in order: those of the routes,
// those of escalations, the fallbacks of those that fail, and those who believe
// that it fires.
func (p *plan) targets(g *group) []target {
	byName := map[string]target{}
	add := func(name string, t target) {
		have, ok := byName[name]
		if t.channel = p.channels[name]; t.channel == nil || (ok && !have.endOnly && !have.from.After(t.from)) {
			return
		}
		byName[name] = t
	}
	for _, name := range p.routed(g.head) {
		add(name, target{})
	}
	for _, e := range p.escalations {
		if !e.match.match(g.head) || (e.Unacknowledged && g.Ack != nil) {
			continue
		}
		for _, name := range e.Channels {
			t := target{}
			if e.After > 0 {
				t.from = g.Begun.Add(e.After)
			}
			add(name, t)
		}
	}
	p.avoid(g, byName, add)
	for range p.names { // a fallback may fail too
		for name, t := range byName {
			if o := g.Outlet[name]; o != nil && o.Failing && !t.endOnly {
				add(p.channels[name].Fallback, target{})
			}
		}
	}
	for name, o := range g.Outlet {
		if _, ok := byName[name]; !ok && len(o.Firing) > 0 {
			add(name, target{endOnly: true})
		}
	}
	out := make([]target, 0, len(byName))
	for _, name := range p.names {
		if t, ok := byName[name]; ok {
			out = append(out, t)
		}
	}
	return out
}

func (p *plan) routed(h head) []string {
	var names []string
	for _, r := range p.routes {
		if r.match.match(h) {
			names = append(names, r.Channels...)
			if !r.Continue {
				return names
			}
		}
	}
	if len(names) == 0 {
		names = []string{DefaultChannel}
	}
	return names
}

// avoid keeps the alert that a channel is broken from that channel: it goes to
// the fallback, or to all others where there is none.
func (p *plan) avoid(g *group, byName map[string]target, add func(string, target)) {
	broken := g.Labels["channel"]
	if _, ok := byName[broken]; g.Name != ChannelBrokenName || !ok {
		return
	}
	delete(byName, broken)
	if len(byName) > 0 {
		return
	}
	if fallback := p.channels[broken].Fallback; fallback != "" {
		add(fallback, target{})
		return
	}
	for _, name := range p.names {
		if name != broken {
			add(name, target{})
		}
	}
}

// wake is when t has to look at g, unless something comes meanwhile; the zero
// time: never.
func (p *plan) wake(g *group, t target, now time.Time) time.Time {
	o := g.Outlet[t.channel.name]
	if o != nil && o.LeaseUntil.After(now) {
		return o.LeaseUntil
	}
	firing := p.live(g, o, now)
	soonest := p.soonest(g, t.channel, o)
	var at time.Time
	switch why := p.why(g, t, now); {
	case why != nothing:
		at = soonest
		if why == repeated {
			at = o.At.Add(t.channel.Repeat)
		}
	case len(firing) > 0 && o != nil && !o.At.IsZero() && !t.endOnly:
		at = o.At.Add(t.channel.Repeat)
	}
	if o != nil && len(o.Firing) > 0 { // somebody has to be told of the end
		for _, id := range firing {
			at = earlier(at, latest(p.until(g, g.Members[id]), soonest))
		}
	}
	if at.IsZero() {
		return at
	}
	if o != nil {
		at = latest(at, o.NotBefore)
	}
	return latest(at, t.from)
}

// why is decide for a target.
func (p *plan) why(g *group, t target, now time.Time) reason {
	o := g.Outlet[t.channel.name]
	firing := p.live(g, o, now)
	why := decide(o, firing, now, t.channel.Repeat)
	switch {
	case t.endOnly && why != allResolved:
		return nothing
	case why == nothing && len(firing) > 0 && o != nil && g.Severity.rank() > o.Severity.rank():
		return worse
	default:
		return why
	}
}

// soonest is when a change in g may be told.
func (p *plan) soonest(g *group, c *channel, o *outlet) time.Time {
	switch {
	case o == nil || o.At.IsZero():
		return g.Begun.Add(p.wait(g, c.GroupWait))
	case g.Severity == Critical && o.Severity != Critical:
		return g.Begun // worse than they know
	case len(o.Firing) == 0 && g.Flaps <= 1:
		return g.Begun.Add(p.wait(g, c.GroupWait))
	default:
		return o.At.Add(c.GroupInterval)
	}
}

// due is when somebody must look at g, and whether it can be removed then.
func (p *plan) due(g *group, now time.Time) (at time.Time, remove bool) {
	for _, t := range p.targets(g) {
		at = earlier(at, p.wake(g, t, now))
	}
	if len(p.firing(g, now)) > 0 {
		return earlier(at, p.end(g)), false
	}
	if at.IsZero() { // kept for so long to see whether it comes back
		return p.end(g).Add(p.cfg.Quiet), true
	}
	return at, false
}
