package park

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The bounds of what is accepted: a policy must come to an end that somebody
// who wrote it will see.
const (
	// MaxAttemptsLimit is the most that Schedule.MaxAttempts may be.
	MaxAttemptsLimit = 20_000
	// MaxSpan is the longest that a schedule may take from the first failure to
	// the last attempt, windows not counted.
	MaxSpan = 366 * 24 * time.Hour
)

const day = 24 * time.Hour

// Validate reports all that is wrong with p, each with its field.
func (p Policy) Validate() error { return p.validate("Policy") }

func (p Policy) validate(at string) error {
	errs := []error{p.Schedule.validate(at)}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(at+"."+format, args...)) }
	for i, c := range p.Classes {
		name := fmt.Sprintf("%s.Classes[%d]", at, i)
		if c.Name != "" {
			name += fmt.Sprintf(" (%s)", c.Name)
		}
		if c.Match == nil {
			errs = append(errs, fmt.Errorf("%s.Match: is nil", name))
		}
		errs = append(errs, c.Schedule.validate(name+".Schedule"))
	}
	if p.Order > Hold {
		bad("Order: %d is unknown; use Release or Hold", p.Order)
	}
	switch {
	case p.AfterDead > Await:
		bad("AfterDead: %d is unknown; use GoOn or Await", p.AfterDead)
	case p.AfterDead == Await && p.Order != Hold:
		bad("AfterDead: Await needs Order Hold: nothing waits otherwise")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"MaxRetryAfter", p.MaxRetryAfter}, {"Excuse", p.Excuse}, {"MaxExcuseDelay", p.MaxExcuseDelay}, {"MaxExcuse", p.MaxExcuse},
	} {
		if d.value < 0 {
			bad("%s: %v is negative", d.name, d.value)
		}
		if d.value > MaxSpan {
			bad("%s: %v is more than %v", d.name, d.value, MaxSpan)
		}
	}
	if p.MaxExcuseDelay > 0 && p.MaxExcuseDelay < p.Excuse {
		bad("MaxExcuseDelay: %v is less than Excuse, %v", p.MaxExcuseDelay, p.Excuse)
	}
	return errors.Join(errs...)
}

func (s Schedule) validate(at string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(at+"."+format, args...)) }
	switch {
	case s.MaxAttempts < 0:
		bad("MaxAttempts: %d is negative; an end is needed: use 1 to %d, or 0 for %d", s.MaxAttempts, MaxAttemptsLimit, DefaultMaxAttempts)
	case s.MaxAttempts > MaxAttemptsLimit:
		bad("MaxAttempts: %d is more than %d", s.MaxAttempts, MaxAttemptsLimit)
	}
	if s.MaxAge < 0 {
		bad("MaxAge: %v is negative", s.MaxAge)
	}
	for i, d := range s.Delays {
		if d <= 0 {
			bad("Delays[%d]: %v: use more than 0", i, d)
		}
	}
	if s.Multiplier != 0 && (!(s.Multiplier >= 1) || math.IsInf(s.Multiplier, 0)) {
		bad("Multiplier: %v: use 1 or more, or 0 for none", s.Multiplier)
	}
	switch {
	case s.MaxDelay < 0:
		bad("MaxDelay: %v is negative", s.MaxDelay)
	case s.MaxDelay > 0 && s.Multiplier <= 1:
		bad("MaxDelay: %v caps what Multiplier does, and there is none", s.MaxDelay)
	case s.MaxDelay > 0 && len(s.Delays) > 0 && s.MaxDelay < s.Delays[len(s.Delays)-1]:
		bad("MaxDelay: %v is less than the last of Delays, %v", s.MaxDelay, s.Delays[len(s.Delays)-1])
	}
	if !(s.Jitter >= 0 && s.Jitter <= 1) {
		bad("Jitter: %v: use 0 to 1", s.Jitter)
	}
	for i, w := range s.Windows {
		w.validate(fmt.Sprintf("Windows[%d]", i), bad)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return s.ends(at)
}

// ends refuses a schedule whose delays add up to more than anybody waits for, or
// to more than a duration holds.
func (s Schedule) ends(at string) error {
	full := s.withDefaults()
	span := full.span(0)
	if span <= MaxSpan || (s.MaxAge > 0 && s.MaxAge <= MaxSpan) {
		return nil
	}
	takes := "more than 292 years"
	if span < math.MaxInt64 {
		takes = span.Round(time.Hour).String()
	}
	return fmt.Errorf("%s.Delays: %d attempts would take %s, more than %v: the schedule would never end; set MaxAge, or fewer MaxAttempts", at, full.MaxAttempts, takes, MaxSpan)
}

// span is how long it is from the first of the delays to the last attempt,
// jitter included, after base attempts that were made at once.
func (s Schedule) span(base int) time.Duration {
	var sum float64
	for n := range max(s.MaxAttempts-base, 0) {
		sum += float64(s.delay(n+1)) * (1 + s.Jitter)
	}
	if sum >= math.MaxInt64 {
		return math.MaxInt64
	}
	if s.MaxAge > 0 {
		return min(time.Duration(sum), s.MaxAge)
	}
	return time.Duration(sum)
}

func (w Window) validate(at string, bad func(string, ...any)) {
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"From", w.From}, {"To", w.To}} {
		if t.value < 0 || t.value > day {
			bad("%s.%s: %v: use 0 to 24h", at, t.name, t.value)
		}
	}
	if w.From%day == w.To%day && (w.From != 0 || w.To != day) {
		bad("%s.To: the window opens and closes at %v: it would never be open", at, w.From)
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			bad("%s.Days: %d is no day of the week", at, d)
		}
	}
}

// longest is the longest delay of all schedules of p.
func (p Policy) longest() time.Duration {
	longest := p.Schedule.longest()
	for _, c := range p.Classes {
		longest = max(longest, c.Schedule.longest())
	}
	return longest
}

func (s Schedule) longest() time.Duration {
	var longest time.Duration
	for _, d := range s.Delays {
		longest = max(longest, d)
	}
	if s.Multiplier > 1 {
		longest = max(longest, s.MaxDelay)
	}
	return longest
}
