// Package promalert turns notifications into alerts as Prometheus and its
// Alertmanager write them.
package promalert

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/template"
	"github.com/sluicegate/sluicegate/internal/text"
)

// The longest values, in bytes.
const (
	maxLabel      = 1024
	maxAnnotation = 4096
)

// Alert is one alert. A zero EndsAt is one that still fires.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	Link                string
}

// Status of a at the moment it was made.
func (a Alert) Status() alert.Status {
	if a.EndsAt.IsZero() {
		return alert.Firing
	}
	return alert.Resolved
}

// Fingerprint is the same for the same labels: 16 hexadecimal digits.
func (a Alert) Fingerprint() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		b.WriteString(strconv.Quote(name) + strconv.Quote(a.Labels[name]))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// List returns the alerts of n: one, or one for each group in a digest.
// description is that of all of them.
func List(n alert.Notification, description string) []Alert {
	if len(n.Digest) == 0 {
		return []Alert{one(n, description)}
	}
	list := make([]Alert, 0, len(n.Digest))
	for _, g := range n.Digest {
		list = append(list, one(alert.Notification{
			Status: g.Status, Name: g.Name, Severity: g.Severity, Labels: n.Labels, Handler: g.Handler, Topic: g.Topic,
			Count: g.Count, First: n.First, Last: n.Last, At: n.At, Link: n.Link,
		}, description))
	}
	return list
}

func one(n alert.Notification, description string) Alert {
	a := Alert{Labels: labels(n), Annotations: map[string]string{}, StartsAt: n.First, Link: template.Line(n.Link, maxAnnotation)}
	if a.StartsAt.IsZero() {
		a.StartsAt = n.At
	}
	if n.Status == alert.Resolved {
		a.EndsAt = n.At
		if a.EndsAt.IsZero() {
			a.EndsAt = n.Last
		}
		if a.EndsAt.IsZero() {
			a.EndsAt = time.Unix(0, 0) // resolved, nobody knows when
		}
	}
	annotate := func(name, value string) {
		if value = template.Line(value, maxAnnotation); value != "" {
			a.Annotations[name] = value
		}
	}
	annotate("summary", n.Summary)
	if description != "" {
		a.Annotations["description"] = description // lines of a template
	}
	annotate("count", strconv.FormatInt(n.Count, 10))
	if newest, ok := newest(n.Samples); ok {
		annotate("key", newest.Key)
		annotate("error", newest.Reason)
	}
	return a
}

func newest(samples []alert.Sample) (newest alert.Sample, ok bool) {
	for _, s := range samples {
		if !ok || !s.At.Before(newest.At) {
			newest, ok = s, true
		}
	}
	return newest, ok
}

// labels are what tells alerts apart. An empty value counts as no label there.
func labels(n alert.Notification) map[string]string {
	all := map[string]string{}
	set := func(name, value string) {
		if value = template.Line(value, maxLabel); value != "" {
			all[Name(name)] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Labels)) {
		set(name, n.Labels[name])
	}
	set("alertname", n.Name)
	set("severity", string(n.Severity))
	set("handler", n.Handler)
	set("topic", n.Topic)
	return all
}

// Name returns a label name as Prometheus knows them: letters, digits and
// underscores, not beginning with a digit.
func Name(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, text.Short(s, maxLabel))
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	return s
}
