package alert

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

// Stats are counters since New, of this process.
type Stats struct {
	Sent       int64 // notifications that a channel accepted, but for heartbeats
	Suppressed int64 // occurrences that were folded into another notification
	Dropped    int64 // occurrences that found no place
	Failed     int64 // notifications that a channel refused until they were given up
	Muted      int64 // times that a silence or an inhibition kept a notification back
	Digested   int64 // groups that were told in a digest
}

// Notifier folds alerts into groups and tells channels of them. It is safe for
// concurrent use; nothing is sent while Run does not run.
type Notifier struct {
	plan    *plan
	pending *pending
	local   *Memory // while State is away; State itself where that is a *Memory
	lanes   map[string]*lane
	wake    chan struct{}
	muted   atomic.Pointer[muting]

	mu        sync.Mutex
	running   bool
	stats     Stats
	awaySince time.Time // State has failed since; zero: it works
	flushed   time.Time
}

// New returns a Notifier that tells the channel DefaultChannel, which sends by
// sender, and those of the configuration.
func New(sender Sender, cfg Config) (*Notifier, error) {
	p, err := compile(sender, cfg)
	if err != nil {
		return nil, err
	}
	n := &Notifier{
		plan:    p,
		pending: &pending{limit: p.cfg.Buffer, waiting: map[string]*occurrence{}},
		lanes:   map[string]*lane{},
		wake:    make(chan struct{}, 1),
	}
	n.muted.Store(&muting{})
	if m, ok := p.cfg.State.(*Memory); ok {
		n.local = m
	} else {
		n.local = NewMemory()
	}
	for _, name := range p.names {
		n.lanes[name] = &lane{n: n, channel: p.channels[name], wake: make(chan struct{}, 1), waiting: map[item]bool{}}
	}
	return n, nil
}

// Emit takes a to be told or counted. It never blocks. Where there is no room
// for another fingerprint, it is dropped and counted.
func (n *Notifier) Emit(a Alert) {
	if n.pending.add(n.plan.occurrenceOf(a, time.Now())) {
		n.nudge()
	}
}

// Resolve says that the alerts with the fingerprint of a are over: those who were
// told of them are told so, and those who were not hear nothing. Only what the
// fingerprint is made of matters in a, and At, where it is not zero. It never
// blocks. An alert that fires again after that is told again.
func (n *Notifier) Resolve(a Alert) {
	o := n.plan.occurrenceOf(a, time.Now())
	o.count, o.over, o.samples = 0, o.last, nil
	if n.pending.add(o) {
		n.nudge()
	}
}

// nudge has the state looked at soon.
func (n *Notifier) nudge() {
	select {
	case n.wake <- struct{}{}:
	default: // it will be
	}
}

// Stats returns the counters.
func (n *Notifier) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.stats
	s.Dropped = n.pending.drops()
	return s
}

func (n *Notifier) count(add func(*Stats)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	add(&n.stats)
}

// ErrRunning says that Run was called while it ran.
var ErrRunning = errors.New("alert notifier is running already")

// notification is what c is told of g.
func (p *plan) notification(g *group, id string, c *channel, firing []string, now time.Time, why reason) Notification {
	o := g.Outlet[c.name]
	n := Notification{
		Status: Firing, Name: g.Name, Severity: g.Severity, Labels: g.Labels, Handler: g.Handler, Topic: g.Topic,
		Summary: g.Summary, Count: g.Count, New: g.Count, First: g.First, Last: g.Last, At: now,
		Samples: g.Samples, Link: g.Link, Fingerprint: id, Repeat: why == repeated,
	}
	if o != nil {
		n.New = g.Count - o.Count
	}
	if len(firing) == 0 {
		n.Status = Resolved
	}
	if n.Name == "" {
		n.Name = "alerts"
	}
	if n.Link == "" {
		n.Link = strings.ReplaceAll(p.cfg.Link, "{fingerprint}", id)
	}
	return n
}

// breakAlert is told where a channel turns out to be broken.
func breakAlert(c *channel, why error) Alert {
	return Alert{
		Name: ChannelBrokenName, Severity: Critical, Condition: true, Labels: map[string]string{"channel": c.name},
		Summary: "An alert channel refuses everything until it is mended.", Reason: text.Short(why.Error(), maxReason),
	}
}
