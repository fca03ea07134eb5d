package alert

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// head is what alerts are told apart and matched by.
type head struct {
	Name     string            `json:"name"`
	Severity Severity          `json:"severity"`
	Handler  string            `json:"handler,omitempty"`
	Topic    string            `json:"topic,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

func (h head) label(name string) string {
	switch name {
	case "name":
		return h.Name
	case "severity":
		return string(h.Severity)
	case "handler":
		return h.Handler
	case "topic":
		return h.Topic
	default:
		return h.Labels[name]
	}
}

// common returns what h and o share, and the higher severity.
func (h head) common(o head) head {
	out := head{Severity: higher(h.Severity, o.Severity)}
	same := func(a, b string) string {
		if a != b {
			return ""
		}
		return a
	}
	out.Name, out.Handler, out.Topic = same(h.Name, o.Name), same(h.Handler, o.Handler), same(h.Topic, o.Topic)
	for k, v := range h.Labels {
		if w, ok := o.Labels[k]; ok && v == w {
			if out.Labels == nil {
				out.Labels = map[string]string{}
			}
			out.Labels[k] = v
		}
	}
	return out
}

func higher(a, b Severity) Severity {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// matcher is one condition on a label: name=value, name!=value, name=~regexp or
// name!~regexp.
type matcher struct {
	label  string
	value  string
	regexp *regexp.Regexp // nil: compare
	not    bool
}

type matchers []matcher

func (m matcher) matches(h head) bool {
	v := h.label(m.label)
	if m.regexp != nil {
		return m.regexp.MatchString(v) != m.not
	}
	return (v == m.value) != m.not
}

func (ms matchers) match(h head) bool {
	for _, m := range ms {
		if !m.matches(h) {
			return false
		}
	}
	return true
}

func parseMatcher(s string) (matcher, error) {
	i := strings.IndexAny(s, "=!")
	if i < 0 {
		return matcher{}, fmt.Errorf("%q has no operator; use =, !=, =~ or !~ as in severity=critical", s)
	}
	m := matcher{label: strings.TrimSpace(s[:i])}
	rest := s[i:]
	pattern := false
	switch {
	case strings.HasPrefix(rest, "=~"):
		pattern, rest = true, rest[2:]
	case strings.HasPrefix(rest, "!~"):
		pattern, m.not, rest = true, true, rest[2:]
	case strings.HasPrefix(rest, "!="):
		m.not, rest = true, rest[2:]
	case strings.HasPrefix(rest, "="):
		rest = rest[1:]
	default:
		return matcher{}, fmt.Errorf("%q has no operator; use =, !=, =~ or !~ as in severity=critical", s)
	}
	m.value = strings.TrimSpace(rest)
	if m.label == "" {
		return matcher{}, fmt.Errorf("%q names no label", s)
	}
	if pattern {
		re, err := regexp.Compile("^(?:" + m.value + ")$")
		if err != nil {
			return matcher{}, fmt.Errorf("%q: %w", s, err)
		}
		m.regexp = re
	}
	return m, nil
}

// parseMatchers names each problem as one of field.
func parseMatchers(field string, list []string) (matchers, error) {
	var out matchers
	var errs []error
	for i, s := range list {
		m, err := parseMatcher(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
			continue
		}
		out = append(out, m)
	}
	return out, errors.Join(errs...)
}
