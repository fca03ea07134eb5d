package template

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/text"
)

// Data is what a template sees. Strings are single lines, escaped for the
// channel; those that do not apply are empty.
type Data struct {
	Status      string // firing or resolved
	Firing      bool
	Name        string // what happened: message_dead_lettered
	Severity    string // info, warning or critical
	Handler     string
	Topic       string
	Key         string // of the newest sample
	Error       string // of the newest sample
	Summary     string // one sentence
	Count       int64  // occurrences from First to Last
	New         int64  // of them since the channel was told last
	First, Last time.Time
	At          time.Time         // when this was decided
	Link        string            // where to look
	Labels      map[string]string // as {{.Labels.name}}; a missing one is empty
	Samples     []Sample
	Fingerprint string
	Repeat      bool     // told before, nothing is new but the count
	Digest      []Digest // what a rate limit held back
	Omitted     int      // how many more it held back
}

// Sample is one occurrence.
type Sample struct {
	Key, Error string
	At         time.Time
}

// Digest is one group of alerts that was held back.
type Digest struct {
	Status, Name, Severity, Handler, Topic string
	Count                                  int64
}

// bounds say how much of a notification is shown.
type bounds struct {
	value   int // bytes of one value
	samples int
	digest  int
	labels  int
	noLink  bool // a link that was cut leads nowhere
}

// steps are tried in turn until a text fits.
var steps = []bounds{
	{value: 4096, samples: 5, digest: 50, labels: 50},
	{value: 1024, samples: 5, digest: 50, labels: 50},
	{value: 512, samples: 5, digest: 20, labels: 20},
	{value: 256, samples: 3, digest: 10, labels: 20},
	{value: 128, samples: 1, digest: 5, labels: 10},
	{value: 64, samples: 1, digest: 3, labels: 5},
	{value: 32, labels: 3},
}

func (t *Template) data(n alert.Notification, b bounds) Data {
	value := func(s string) string { return t.cfg.Escape(Line(s, b.value)) }
	d := Data{
		Status: string(n.Status), Firing: n.Status != alert.Resolved,
		Name: value(n.Name), Severity: value(string(n.Severity)), Handler: value(n.Handler), Topic: value(n.Topic),
		Summary: value(n.Summary), Count: n.Count, New: n.New, First: t.at(n.First), Last: t.at(n.Last), At: t.at(n.At),
		Labels: map[string]string{}, Fingerprint: value(n.Fingerprint), Repeat: n.Repeat,
		Omitted: n.Omitted + max(0, len(n.Digest)-b.digest),
	}
	if !b.noLink {
		d.Link = t.link(n)
	}
	if d.Status == "" {
		d.Status = string(alert.Firing)
	}
	names := make([]string, 0, len(n.Labels))
	for name := range n.Labels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), b.labels)] {
		d.Labels[value(name)] = value(n.Labels[name])
	}
	newest := -1
	for i, s := range n.Samples {
		if newest < 0 || !s.At.Before(n.Samples[newest].At) {
			newest = i
		}
		if i < b.samples {
			d.Samples = append(d.Samples, Sample{Key: value(s.Key), Error: value(s.Reason), At: t.at(s.At)})
		}
	}
	if newest >= 0 {
		d.Key, d.Error = value(n.Samples[newest].Key), value(n.Samples[newest].Reason)
	}
	for _, g := range n.Digest[:min(len(n.Digest), b.digest)] {
		d.Digest = append(d.Digest, Digest{
			Status: string(g.Status), Name: value(g.Name), Severity: value(string(g.Severity)),
			Handler: value(g.Handler), Topic: value(g.Topic), Count: g.Count,
		})
	}
	return d
}

// link is whole, whatever else is shortened.
func (t *Template) link(n alert.Notification) string {
	return t.cfg.Escape(Line(n.Link, steps[0].value))
}

func (t *Template) at(moment time.Time) time.Time {
	if moment.IsZero() {
		return moment
	}
	return moment.In(t.cfg.Location)
}

// Line makes one line of s, in at most limit bytes, without control characters:
// a value with a line break could pass for a line of the text itself.
func Line(s string, limit int) string {
	// Bounded first: an error can hold megabytes.
	s = text.Short(s, limit)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u2028' || r == '\u2029' || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1 // they turn the reading direction of what follows
		default:
			return r
		}
	}, s)
	return strings.TrimSpace(s)
}

// EscapeMarkdown returns s so that Markdown shows it and does not obey it: no
// link, image, mention, tag or emphasis. It is for robots that understand only a
// part of Markdown and no backslashes, so look-alikes take the place of what
// has a meaning.
func EscapeMarkdown(s string) string { return markdown.Replace(s) }

var markdown = strings.NewReplacer("](", "]\u200b(", "<", "\u2039", ">", "\u203a", "*", "\u2217", "`", "\u02cb", "__", "_\u200b_")
