package urlparam

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// Query reads the parameters of a URL one by one and collects what is wrong
// with them. It is for one goroutine.
type Query struct {
	values   url.Values
	known    []string
	problems []error
}

// NewQuery reads the query of u.
func NewQuery(u *url.URL) *Query {
	values, err := url.ParseQuery(u.RawQuery)
	q := &Query{values: values}
	if err != nil {
		q.problems = append(q.problems, errors.New(`the URL's query has a broken %-escape or a ";"`))
	}
	return q
}

// Problem adds a problem with a parameter.
func (q *Query) Problem(name, format string, args ...any) {
	q.problems = append(q.problems, fmt.Errorf("parameter %s: "+format, append([]any{name}, args...)...))
}

// Lookup returns the value of name and whether it is given.
func (q *Query) Lookup(name string) (string, bool) {
	q.known = append(q.known, name)
	values, given := q.values[name]
	if !given {
		return "", false
	}
	if len(values) > 1 {
		q.Problem(name, "is given %d times", len(values))
	}
	if values[0] == "" {
		q.Problem(name, "is empty")
	}
	return values[0], true
}

// String returns the value of name, or def.
func (q *Query) String(name, def string) string {
	if v, given := q.Lookup(name); given {
		return v
	}
	return def
}

// Enum returns the value of name, which must be one of allowed, or def.
func (q *Query) Enum(name, def string, allowed ...string) string {
	v, given := q.Lookup(name)
	if !given || v == "" {
		return def
	}
	if !slices.Contains(allowed, v) {
		hint := "is one of " + strings.Join(allowed, ", ")
		if near := suggest.Nearest(v, allowed...); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		q.Problem(name, "unknown value: %s", hint)
		return def
	}
	return v
}

// Bool returns the value of name, true or false, or def.
func (q *Query) Bool(name string, def bool) bool {
	return q.Enum(name, strconv.FormatBool(def), "true", "false") == "true"
}

// Int returns the value of name, a number from low to high, or def.
func (q *Query) Int(name string, def, low, high int) int {
	v, given := q.Lookup(name)
	if !given || v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		q.Problem(name, "must be a whole number from %d to %d", low, high)
		return def
	}
	return n
}

// Duration returns the value of name, from low to high, or def.
func (q *Query) Duration(name string, def, low, high time.Duration) time.Duration {
	v, given := q.Lookup(name)
	if !given || v == "" {
		return def
	}
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		q.Problem(name, "must be a duration with its unit, like 500ms or 10s")
	case d < low || d > high:
		q.Problem(name, "must be from %s to %s", low, high)
	default:
		return d
	}
	return def
}

// Err returns all problems, those of parameters that nobody asked for among
// them, or nil. It is called last.
func (q *Query) Err() error {
	problems := slices.Clone(q.problems)
	var unknown []string
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		if near := suggest.Nearest(name, q.known...); near != "" {
			problems = append(problems, fmt.Errorf("unknown parameter %s: did you mean %s?", shorten(name), near))
			continue
		}
		problems = append(problems, fmt.Errorf("unknown parameter %s: known are %s", shorten(name), suggest.List(q.known...)))
	}
	return errors.Join(problems...)
}

// shorten quotes a name that came from outside. A long one is more likely a
// piece of something else, a password perhaps, and is not shown.
func shorten(name string) string {
	if len(name) > 40 || strings.ContainsAny(name, "@:/") {
		return "(not shown)"
	}
	return strconv.Quote(name)
}
