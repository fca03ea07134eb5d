package rule

import (
	"fmt"
	"strconv"
	"time"
)

type verdict int

const (
	wait    verdict = iota // nothing has changed
	fire                   // it fires, perhaps still
	resolve                // it does not, from now on
)

// watched is a rule and what is known of its value.
type watched struct {
	rule     Rule
	begun    bool // it has been judged once
	firing   bool
	reason   string
	high     time.Time // at or above High since; zero: it is not
	low      time.Time // at or below Low since; zero: it is not
	failures int       // of the gauge, in a row
	samples  []sample  // within Growth, oldest first
	last     float64
	grown    float64 // in all, over resets
}

type sample struct {
	at    time.Time
	value float64
}

func (w *watched) judge(value float64, now time.Time) verdict {
	if w.rule.Growth > 0 {
		value = w.growth(value, now)
	}
	first := !w.begun
	w.begun = true
	w.high = since(w.high, value >= w.rule.High, now)
	w.low = since(w.low, value <= w.rule.Low && value < w.rule.High || value < w.rule.Low, now)
	switch {
	case !w.high.IsZero() && (w.firing || now.Sub(w.high) >= w.rule.For):
		w.firing = true
		w.reason = w.text(value)
		return fire
	case !w.low.IsZero() && now.Sub(w.low) >= w.rule.Clear && (w.firing || first):
		w.firing = false // or an earlier process may have said that it fires
		return resolve
	case w.firing:
		return fire
	default:
		return wait
	}
}

func since(at time.Time, holds bool, now time.Time) time.Time {
	switch {
	case !holds:
		return time.Time{}
	case at.IsZero():
		return now
	default:
		return at
	}
}

// growth returns by how much the value has grown within the time of the rule, or
// since the first sample where that is later.
func (w *watched) growth(value float64, now time.Time) float64 {
	switch {
	case !w.begun:
	case value < w.last: // it was reset
		w.grown += value
	default:
		w.grown += value - w.last
	}
	w.last = value
	w.samples = append(w.samples, sample{now, w.grown})
	for len(w.samples) > 1 && now.Sub(w.samples[0].at) > w.rule.Growth {
		w.samples = w.samples[1:]
	}
	return w.grown - w.samples[0].value
}

func (w *watched) text(value float64) string {
	number := func(v float64) string {
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if v != float64(int64(v)) {
			s = strconv.FormatFloat(v, 'f', 1, 64)
		}
		if w.rule.Unit != "" {
			s += " " + w.rule.Unit
		}
		return s
	}
	if w.rule.Growth > 0 {
		return fmt.Sprintf("%s more within %s; the limit is %s", number(value), w.rule.Growth, number(w.rule.High))
	}
	return fmt.Sprintf("at %s; the limit is %s", number(value), number(w.rule.High))
}
