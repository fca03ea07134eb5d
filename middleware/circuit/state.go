package circuit

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// circuit is one of a handler's. Its group's lock guards it but for the two
// atomics, which are all that a message touches that succeeds while it is closed.
type circuit struct {
	cfg  *Config
	name string

	successes atomic.Uint64
	used      atomic.Bool // named by Uses: only who uses it tells about it

	failed []failedKey // the last Config.Keys different keys that failed, the latest at the end
	reason string
	opened int

	open     bool
	since    time.Time
	pause    time.Duration
	next     time.Time   // no probe before
	underway []time.Time // when the probes began that keep others waiting, and their numbers
	numbers  []int
	probes   int // since it opened
	good     int // in a row
	tried    []string
}

type failedKey struct {
	key       string
	at        time.Time
	successes uint64 // there had been, by then
}

// maxTried is how many keys are remembered whose probe failed.
const maxTried = 64

func (c *circuit) state(now time.Time) State {
	switch {
	case !c.open:
		return Closed
	case len(c.underway) > 0, c.good > 0, !now.Before(c.next):
		return HalfOpen
	default:
		return Open
	}
}

// fail notes a failure while the circuit is closed and reports whether it opened.
func (c *circuit) fail(key string, now time.Time) bool {
	c.failed = remember(c.failed, failedKey{key, now, c.successes.Load()}, c.cfg.Keys, func(f failedKey) bool { return f.key == key })
	if len(c.failed) < c.cfg.Keys || now.Sub(c.failed[0].at) > c.cfg.Window {
		return false
	}
	// Each key counts once, so that a message which is tried over and over does
	// not outweigh those that succeed.
	failures := float64(len(c.failed))
	if failures/(failures+float64(c.successes.Load()-c.failed[0].successes)) < c.cfg.Ratio {
		return false
	}
	c.open, c.since, c.probes, c.good, c.tried = true, now, 0, 0, nil
	c.opened++
	c.underway, c.numbers = nil, nil
	c.rest(c.cfg.FirstPause, now)
	return true
}

// remember appends v in place of the element that same finds, and lets go of
// the oldest where there would be more than limit.
func remember[T any](list []T, v T, limit int, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list = slices.Delete(list, i, i+1)
	} else if len(list) >= limit {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, v)
}

func (c *circuit) rest(pause time.Duration, now time.Time) {
	c.pause, c.next = pause, now.Add(backoff.Half(pause))
}

// free reports whether a probe may begin now. One that takes longer than
// MaxPause no longer counts: a handler that hangs must not keep the gate shut.
func (c *circuit) free(now time.Time) bool {
	for len(c.underway) > 0 && now.Sub(c.underway[0]) >= c.cfg.MaxPause {
		c.underway, c.numbers = c.underway[1:], c.numbers[1:]
	}
	return !now.Before(c.next) && len(c.underway) < c.cfg.Probes
}

// due is when a probe may begin if nothing happens until then.
func (c *circuit) due() time.Time {
	if len(c.underway) < c.cfg.Probes {
		return c.next
	}
	if free := c.underway[0].Add(c.cfg.MaxPause); free.After(c.next) {
		return free
	}
	return c.next
}

func (c *circuit) hasTried(key string) bool { return slices.Contains(c.tried, key) }

// begin notes a probe and returns its ticket.
func (c *circuit) begin(now time.Time) ticket {
	c.probes++
	c.underway, c.numbers = append(c.underway, now), append(c.numbers, c.probes)
	return ticket{circuit: c, opening: c.opened, number: c.probes}
}

// ticket is a probe's.
type ticket struct {
	circuit *circuit
	opening int
	number  int
}

// outcome of an attempt, for one circuit.
type outcome int

const (
	nothing outcome = iota // it says nothing
	success
	failing
)

// end settles a probe and reports whether the circuit closed.
func (c *circuit) end(t ticket, key string, o outcome, now time.Time) bool {
	if !c.open || t.opening != c.opened {
		return false // of an opening that is over
	}
	if i := slices.Index(c.numbers, t.number); i >= 0 {
		c.underway, c.numbers = slices.Delete(c.underway, i, i+1), slices.Delete(c.numbers, i, i+1)
	}
	switch o {
	case failing:
		c.good = 0
		c.tried = remember(c.tried, key, maxTried, func(k string) bool { return k == key })
		if !now.Before(c.next) { // of several under way, one lengthens the pause
			c.rest(min(2*c.pause, c.cfg.MaxPause), now)
		}
	case success:
		if c.good++; c.good >= c.cfg.Successes {
			c.open, c.failed, c.tried, c.underway, c.numbers = false, nil, nil, nil, nil
			c.since, c.next = time.Time{}, time.Time{}
			return true
		}
	case nothing:
	}
	return false
}
