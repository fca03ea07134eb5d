package circuit

import (
	"cmp"
	"slices"
	"time"
)

// State of a circuit.
type State string

// The states. HalfOpen is an open circuit whose probes are due, under way or
// have begun to succeed.
const (
	Closed   State = "closed"
	Open     State = "open"
	HalfOpen State = "half_open"
)

// Status is one circuit at one moment.
type Status struct {
	Handler    string    `json:"handler"`              // consumer and handler, as in the inbox
	Dependency string    `json:"dependency,omitempty"` // empty: the handler as a whole
	State      State     `json:"state"`
	Since      time.Time `json:"since,omitzero"`      // when it opened; zero while it is closed
	Next       time.Time `json:"next_probe,omitzero"` // when the next probe is due; zero while it is closed
	Failing    int       `json:"failing_keys"`        // closed: different keys that failed within the window, at most Config.Keys
	Waiting    int       `json:"waiting"`             // messages that wait before the handler
	Probes     int       `json:"probes"`              // made since it opened
	Successes  int       `json:"successes"`           // probes that succeeded in a row
	Opened     int       `json:"opened"`              // how often it has opened in this process
	Reason     string    `json:"reason,omitempty"`    // the last failure that counted, shortened
}

// Snapshot returns the state of every circuit that has seen a message, sorted by
// handler and dependency. It is safe for concurrent use.
func (c *Circuits) Snapshot() []Status {
	var all []Status
	for _, g := range *c.groups.Load() {
		all = append(all, g.snapshot(time.Now())...)
	}
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Handler, b.Handler), cmp.Compare(a.Dependency, b.Dependency))
	})
	return all
}

// CountOpen returns how many circuits are not closed: a gauge for metrics and for
// alert/rule. It is safe for concurrent use.
func (c *Circuits) CountOpen() int {
	n := 0
	for _, g := range *c.groups.Load() {
		n += int(g.notClosed.Load())
	}
	return n
}

func (g *group) snapshot(now time.Time) []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Status
	for _, c := range *g.circuits.Load() {
		all = append(all, g.status(c, now))
	}
	return all
}

// status needs the lock.
func (g *group) status(c *circuit, now time.Time) Status {
	s := Status{
		Handler: g.scope, Dependency: c.name, State: c.state(now), Waiting: g.waiting.Len(),
		Opened: c.opened, Reason: c.reason,
	}
	if !c.open {
		for _, f := range c.failed {
			if now.Sub(f.at) <= g.cfg.Window {
				s.Failing++
			}
		}
		return s
	}
	s.Since, s.Next, s.Probes, s.Successes = c.since, c.next, c.probes, c.good
	return s
}
