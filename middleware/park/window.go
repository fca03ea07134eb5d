package park

import (
	"slices"
	"time"
)

// Window is a part of the day at which attempts may begin.
type Window struct {
	// From and To are times of the day, since midnight, by the wall clock of
	// Location. Where To is before From, the window reaches into the next day. To
	// itself is no longer in it. Both are between 0 and 24 hours, and differ.
	From, To time.Duration
	// Days are those on which the window opens. Default: every day.
	Days []time.Weekday
	// Location is whose clock is meant. Default UTC.
	Location *time.Location
}

// horizon is how many days an opening is looked for: a window of one weekday may
// fall, once, into the hour that a clock is put forward by.
const horizon = 15

// opening returns t where one of the windows is open then, and else when the next
// one opens.
func opening(windows []Window, t time.Time) time.Time {
	var first time.Time
	for _, w := range windows {
		if at, ok := w.next(t); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if first.IsZero() { // validated windows do open
		return t
	}
	return first
}

// next returns the first time at or after t at which w is open.
func (w Window) next(t time.Time) (time.Time, bool) {
	loc := w.Location
	if loc == nil {
		loc = time.UTC
	}
	local := t.In(loc)
	year, month, day := local.Date()
	// From yesterday on, whose window may reach into today.
	for d := -1; d <= horizon; d++ {
		from := clock(year, month, day+d, w.From, loc)
		if len(w.Days) > 0 && !slices.Contains(w.Days, time.Date(year, month, day+d, 12, 0, 0, 0, loc).Weekday()) {
			continue
		}
		until := day + d
		if w.To <= w.From {
			until++
		}
		to := clock(year, month, until, w.To, loc)
		if !from.Before(to) || !t.Before(to) {
			continue // swallowed by a change of the clock, or over
		}
		if t.Before(from) {
			return from, true
		}
		return t, true
	}
	return time.Time{}, false
}

// clock is the time at which clocks in loc show so much after midnight.
func clock(year int, month time.Month, day int, since time.Duration, loc *time.Location) time.Time {
	h, m, s, ns := since/time.Hour, since%time.Hour/time.Minute, since%time.Minute/time.Second, since%time.Second
	return time.Date(year, month, day, int(h), int(m), int(s), int(ns), loc)
}
