package alert

import (
	"maps"
	"slices"
	"time"
)

const (
	maxMembers = 100 // of a group that are told apart
	others     = "others"
)

// group is the document of a row of KindGroup: alerts that are told together.
//
// It lives in episodes. One begins with the first occurrence, and is over once
// nothing fires any more and nobody is left who was told otherwise; the next
// occurrence after that begins another.
type group struct {
	head
	Summary string             `json:"summary,omitempty"`
	Link    string             `json:"link,omitempty"`
	Members map[string]*member `json:"members"` // by fingerprint
	Begun   time.Time          `json:"begun"`   // the episode
	Count   int64              `json:"count"`   // of the episode
	First   time.Time          `json:"first"`
	Last    time.Time          `json:"last"`
	Samples []Sample           `json:"samples,omitempty"`
	// Flaps is how many episodes in a row began soon after the one before was over.
	Flaps  int                `json:"flaps,omitempty"`
	Ack    *Acknowledgement   `json:"ack,omitempty"`
	Outlet map[string]*outlet `json:"outlet,omitempty"` // by channel
}

// Acknowledgement says that a person has taken a group on.
type Acknowledgement struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// member is one fingerprint in a group.
type member struct {
	head
	Count int64     `json:"count"`
	Last  time.Time `json:"last"`
	Over  time.Time `json:"over,omitzero"` // resolved by a call at this time
}

// outlet is what one channel was told of a group, and what it is to be told next.
type outlet struct {
	At       time.Time `json:"at,omitzero"` // last told; zero: never
	Firing   []string  `json:"firing,omitempty"`
	Severity Severity  `json:"severity,omitempty"` // as told
	Count    int64     `json:"count,omitempty"`    // of the episode, as told
	// NotBefore holds it back: a pause after a failure, a limit, a silence.
	NotBefore time.Time `json:"not_before,omitzero"`
	Muted     time.Time `json:"muted,omitzero"`     // last kept back by a silence or an inhibition
	Deferred  bool      `json:"deferred,omitempty"` // held back by a limit
	Failing   bool      `json:"failing,omitempty"`  // the fallback is used
	Attempts  int       `json:"attempts,omitempty"` // that failed, in a row
	Offer     offer     `json:"offer,omitzero"`     // what was offered last, and is not told yet
	// Lease is who sends at the moment. Only who holds it may say how that ended.
	Lease      string    `json:"lease,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
}

// offer is what makes a notification another one than the one that was offered
// before.
type offer struct {
	At     time.Time `json:"at"` // when it was decided
	Count  int64     `json:"count"`
	Firing []string  `json:"firing,omitempty"`
}

// decided is when what is to be told was decided: what is offered again, after a
// failure or by another replica, is known again by its time.
func (o *outlet) decided(count int64, firing []string, now time.Time) time.Time {
	if o.Offer.At.IsZero() || o.Offer.Count != count || !slices.Equal(o.Offer.Firing, firing) {
		o.Offer = offer{At: now, Count: count, Firing: firing}
	}
	return o.Offer.At
}

// merge takes in an occurrence that came by now, and reports how many of it were
// counted and whether they began an episode.
func (p *plan) merge(g *group, o *occurrence, now time.Time) (counted int64, began bool) {
	if o.count == 0 {
		if m := g.Members[o.fingerprint]; m != nil && !o.over.Before(m.Last) {
			m.Over = o.over
		}
		return 0, false
	}
	if p.settled(g, now) {
		p.begin(g, now)
		began = true
	}
	id := o.fingerprint
	if g.Members[id] == nil && len(g.Members) >= maxMembers {
		id = others
	}
	m := g.Members[id]
	counted = o.count
	switch {
	case m == nil:
		m = &member{head: o.head}
		g.Members[id] = m
	case id == others:
		m.head = m.common(o.head)
	default:
		if o.condition && now.Before(p.until(g, m)) {
			counted = 0
		}
		m.head = o.head
	}
	m.Count += counted
	m.Last = latest(m.Last, o.last)
	m.Over = o.over
	if m.Over.Before(m.Last) { // somebody else has seen it since
		m.Over = time.Time{}
	}
	g.Summary, g.Link = o.summary, o.link
	g.Count += counted
	g.First, g.Last = earlier(g.First, o.first), latest(g.Last, o.last)
	if counted > 0 {
		g.Samples = sampled(g.Samples, o.samples)
	}
	g.share()
	return counted, began
}

// share sets what all members have in common.
func (g *group) share() {
	first := true
	for _, id := range slices.Sorted(maps.Keys(g.Members)) {
		m := g.Members[id]
		if first {
			g.head, first = m.head, false
			continue
		}
		g.head = g.common(m.head)
	}
}

// begin begins an episode.
func (p *plan) begin(g *group, now time.Time) {
	flaps := 0
	if end := p.end(g); !end.IsZero() && now.Sub(end) < p.cfg.Quiet {
		flaps = min(g.Flaps+1, 30)
	}
	*g = group{Members: map[string]*member{}, Begun: now, Flaps: flaps, Outlet: g.Outlet}
	for _, o := range g.Outlet {
		o.Count, o.Attempts, o.Failing, o.Deferred, o.NotBefore, o.Offer = 0, 0, false, false, time.Time{}, offer{}
	}
}

// until is when m counts as resolved, unless it comes again. What came back soon
// after it was resolved must be still for longer each time.
func (p *plan) until(g *group, m *member) time.Time {
	patience := func(doublings int) time.Duration {
		d := p.cfg.Quiet
		for range doublings {
			if d >= p.cfg.Repeat/2 {
				return max(p.cfg.Repeat, p.cfg.Quiet)
			}
			d *= 2
		}
		return d
	}
	switch {
	case m.Over.IsZero():
		return m.Last.Add(patience(g.Flaps))
	case g.Flaps == 0:
		return m.Over
	default:
		return m.Over.Add(patience(g.Flaps - 1))
	}
}

// firing returns the members that fire, in order.
func (p *plan) firing(g *group, now time.Time) []string {
	var out []string
	for id, m := range g.Members {
		if now.Before(p.until(g, m)) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// end is when the last member is resolved, unless something comes again; the
// zero time where there never was one.
func (p *plan) end(g *group) time.Time {
	var end time.Time
	for _, m := range g.Members {
		end = latest(end, p.until(g, m))
	}
	return end
}

// live returns the members that fire as far as a channel is concerned: those that
// fire, and those that have gone quiet before it could be told of them, as they do
// while no process runs.
func (p *plan) live(g *group, o *outlet, now time.Time) []string {
	if o == nil {
		o = &outlet{}
	}
	var out []string
	for id, m := range g.Members {
		untold := m.Over.IsZero() && !slices.Contains(o.Firing, id) && m.Last.After(latest(o.At, o.Muted))
		if untold || now.Before(p.until(g, m)) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// settled reports whether nobody believes that g fires, and nobody is about to
// be told.
func (p *plan) settled(g *group, now time.Time) bool {
	if g.Begun.IsZero() {
		return true
	}
	for _, t := range p.targets(g) {
		o := g.Outlet[t.channel.name]
		if o != nil && (len(o.Firing) > 0 || o.LeaseUntil.After(now)) {
			return false
		}
		if !t.endOnly && len(p.live(g, o, now)) > 0 {
			return false
		}
	}
	return !now.Before(g.Begun.Add(p.wait(g, p.cfg.GroupWait)))
}

func (p *plan) wait(g *group, wait time.Duration) time.Duration {
	if g.Severity == Critical {
		return 0
	}
	return wait
}
