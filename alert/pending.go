package alert

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

// How many bytes of a text are kept.
const (
	maxKey     = 256
	maxReason  = 512
	maxSummary = 1024
)

// occurrence is what came with one fingerprint since it was last taken.
type occurrence struct {
	head
	fingerprint string
	group       string
	summary     string
	link        string
	condition   bool
	count       int64
	first, last time.Time
	samples     []Sample
	over        time.Time // when it was resolved, where that is the last that came
}

// pending holds what waits to be written to the state: bounded, and never
// blocking but for its own lock.
type pending struct {
	limit int

	mu      sync.Mutex
	waiting map[string]*occurrence
	dropped int64
}

// add folds o into what waits.
func (p *pending) add(o *occurrence) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.waiting[o.fingerprint]
	if have == nil {
		if len(p.waiting) >= p.limit {
			p.dropped += o.count
			return false
		}
		p.waiting[o.fingerprint] = o
		return true
	}
	have.fold(o)
	return true
}

// putBack returns what could not be written; what has come since is later.
func (p *pending) putBack(o *occurrence) {
	p.mu.Lock()
	later := p.waiting[o.fingerprint]
	delete(p.waiting, o.fingerprint)
	p.mu.Unlock()
	if later != nil {
		o.fold(later)
	}
	p.add(o)
}

func (p *pending) take() []*occurrence {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*occurrence, 0, len(p.waiting))
	for _, o := range p.waiting {
		out = append(out, o)
	}
	clear(p.waiting)
	slices.SortFunc(out, func(a, b *occurrence) int {
		return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.fingerprint, b.fingerprint))
	})
	return out
}

func (p *pending) drops() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// fold adds what came later.
func (o *occurrence) fold(later *occurrence) {
	if later.count == 0 { // it is over
		o.over = later.over
		return
	}
	if o.count == 0 {
		o.first = later.first
	}
	o.head, o.summary, o.link, o.condition, o.over = later.head, later.summary, later.link, later.condition, later.over
	if o.count += later.count; o.condition {
		o.count = 1
	}
	o.first, o.last = earlier(o.first, later.first), latest(o.last, later.last)
	o.samples = sampled(o.samples, later.samples)
}

// sampled keeps the first two and the last ones.
func sampled(have, more []Sample) []Sample {
	all := slices.Concat(have, more)
	slices.SortStableFunc(all, func(a, b Sample) int { return a.At.Compare(b.At) })
	if n := len(all); n > MaxSamples {
		const begin = 2
		all = slices.Delete(all, begin, n-(MaxSamples-begin))
	}
	return all
}

// earlier returns the earlier of two times; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// occurrenceOf prepares a, which came now.
func (p *plan) occurrenceOf(a Alert, now time.Time) *occurrence {
	// Beyond these years a document cannot be written, or not read again.
	if year := a.At.UTC().Year(); a.At.IsZero() || year < 1 || year > 9998 {
		a.At = now
	}
	if a.Severity != Info && a.Severity != Critical {
		a.Severity = Warning
	}
	n := max(int64(a.Count), 1)
	if a.Condition {
		n = 1
	}
	o := &occurrence{
		head:        head{Name: text.Clean(a.Name), Severity: a.Severity, Handler: text.Clean(a.Handler), Topic: text.Clean(a.Topic)},
		fingerprint: a.Fingerprint(), summary: text.Short(a.Summary, maxSummary), link: text.Clean(a.Link), condition: a.Condition,
		count: n, first: a.At, last: a.At,
		samples: []Sample{{Key: text.Short(a.Key, maxKey), Reason: text.Short(a.Reason, maxReason), At: a.At}},
	}
	if len(a.Labels) > 0 {
		o.Labels = make(map[string]string, len(a.Labels))
		for k, v := range a.Labels {
			o.Labels[text.Clean(k)] = text.Clean(v)
		}
	}
	o.group = p.groupOf(o)
	return o
}

// groupOf returns the ID of the group that o is told in.
func (p *plan) groupOf(o *occurrence) string {
	if len(p.cfg.GroupBy) == 0 {
		return o.fingerprint
	}
	a := Alert{Labels: map[string]string{}}
	for _, name := range p.cfg.GroupBy {
		a.Labels[name] = o.label(name)
	}
	return a.Fingerprint()
}
