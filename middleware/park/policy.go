package park

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// The defaults.
const (
	DefaultMaxAttempts   = 50
	DefaultFirst         = 4 * time.Minute // the first of the default Delays
	DefaultEvery         = time.Minute     // the second, which is repeated
	DefaultMaxDelay      = 6 * time.Hour   // where there is a Multiplier
	DefaultMaxRetryAfter = 24 * time.Hour  // for RetryAfter
	DefaultExcuse        = time.Second     // the first delay of an excused message
	DefaultMaxExcuse     = 24 * time.Hour
)

// Schedule says when a message that failed is tried again, and when no more. The
// zero value tries it again 4 minutes after the failure and then every minute,
// until 50 attempts have been made in all.
type Schedule struct {
	// MaxAttempts is how often the handler is called in all, the attempts before
	// the message was parked included. Default 50.
	MaxAttempts int
	// MaxAge is how long after the first failure an attempt may still begin; the
	// message is given up once the next one would come later. Default: no bound
	// but MaxAttempts.
	MaxAge time.Duration
	// Delays are the waits from one failure to the next attempt, in turn; the last
	// is repeated, or grows where there is a Multiplier. Each is more than 0.
	// Default: 4 minutes, 1 minute.
	Delays []time.Duration
	// Multiplier, at least 1, is how the last of Delays grows from one failure to
	// the next: exponentially, up to MaxDelay. Default: it does not grow.
	Multiplier float64
	// MaxDelay caps what Multiplier makes of the last delay. Default 6 hours, or
	// the last of Delays where that is longer.
	MaxDelay time.Duration
	// Jitter lengthens each delay by a random share of it, between 0 and this,
	// which is at most 1, so that what failed together does not come back
	// together. Default 0: the delays are kept to the letter.
	Jitter float64
	// Windows, where there are any, are the only times at which an attempt
	// begins: one that would fall outside of them is put off to the next opening.
	// Default: always.
	Windows []Window
}

// Class has the failures that it matches tried again by a schedule of its own.
type Class struct {
	// Name says what the class is, in errors about the configuration.
	Name string
	// Match reports whether a failure is of this class. It must not block.
	Match func(error) bool
	// Schedule is that of the class. Its delays are counted from the first failure
	// of the message on, whatever the class of the failures before.
	Schedule Schedule
}

// Order says what becomes of the messages of an ordering key while an earlier one
// of the key is parked.
type Order uint8

// The orders.
const (
	// Release lets the later messages of the key go on: the parked one is late.
	Release Order = iota
	// Hold has them queue behind it, in the order in which they came. It costs a
	// query for each message that has an ordering key.
	Hold
)

// AfterDead says what becomes of the messages that queue behind one that is given
// up; it matters under Hold only.
type AfterDead uint8

// What may become of them.
const (
	// GoOn lets the next message of the key run.
	GoOn AfterDead = iota
	// Await keeps them until somebody decides: a redrive has the dead letter run
	// again before them, and Parker.Proceed lets them go on without it.
	Await
)

// Policy says how messages of a handler are parked. The zero value is ready for
// use: a failed message is tried again after 4 minutes, then every minute, and is
// given up after 50 attempts in all.
type Policy struct {
	// Schedule is that of all failures that no class matches.
	Schedule
	// Classes are asked in turn; the first that matches a failure says when the
	// message is tried again. Default none.
	Classes []Class

	// Order and AfterDead are about messages with the same ordering key. Default:
	// Release, GoOn.
	Order     Order
	AfterDead AfterDead

	// MaxRetryAfter caps the delay that an error may ask for (RetryAfter), which
	// otherwise is kept in place of the schedule's, and is only moved into a
	// window. Default 24 hours, or the longest delay of the schedule where that is
	// longer.
	MaxRetryAfter time.Duration
	// Excuse is how long a message waits whose dependency is unavailable, which
	// spends no attempt; the wait doubles each time up to MaxExcuseDelay. Default
	// 1 s, so that a connection that was cut once costs no more.
	Excuse time.Duration
	// MaxExcuseDelay caps that wait. Default 1 minute, or Excuse where that is longer.
	MaxExcuseDelay time.Duration
	// MaxExcuse is for how long, in all, a message may be excused: after that, an
	// unavailable dependency is a failed attempt like any other. Default 24 hours.
	MaxExcuse time.Duration
}

// Days is a schedule for failures that take people to cure: 4, 8, 15 and 30
// minutes, 1, 2 and 4 hours, and then every 6 hours, over a week, 36 attempts in
// all.
func Days() Schedule {
	return Schedule{
		MaxAttempts: 36,
		Delays: []time.Duration{
			4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 30 * time.Minute,
			time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
		},
	}
}

// Exponential is a schedule whose delays double from first on up to limit, with a tenth of
// jitter, until attempts have been made in all.
func Exponential(first, limit time.Duration, attempts int) Schedule {
	return Schedule{MaxAttempts: attempts, Delays: []time.Duration{first}, Multiplier: 2, MaxDelay: limit, Jitter: 0.1}
}

func (s Schedule) withDefaults() Schedule {
	if s.MaxAttempts == 0 {
		s.MaxAttempts = DefaultMaxAttempts
	}
	if len(s.Delays) == 0 {
		s.Delays = []time.Duration{DefaultFirst, DefaultEvery}
	}
	if s.Multiplier == 0 {
		s.Multiplier = 1
	}
	if s.MaxDelay == 0 {
		s.MaxDelay = max(DefaultMaxDelay, s.Delays[len(s.Delays)-1])
	}
	return s
}

func (p Policy) withDefaults() Policy {
	p.Schedule = p.Schedule.withDefaults()
	classes := make([]Class, len(p.Classes))
	for i, c := range p.Classes {
		c.Schedule = c.Schedule.withDefaults()
		classes[i] = c
	}
	p.Classes = classes
	if p.MaxRetryAfter == 0 {
		p.MaxRetryAfter = max(DefaultMaxRetryAfter, p.longest())
	}
	if p.Excuse == 0 {
		p.Excuse = DefaultExcuse
	}
	if p.MaxExcuseDelay == 0 {
		p.MaxExcuseDelay = max(time.Minute, p.Excuse)
	}
	if p.MaxExcuse == 0 {
		p.MaxExcuse = DefaultMaxExcuse
	}
	return p
}

// scheduleFor returns the schedule of a failure.
func (p Policy) scheduleFor(err error) Schedule {
	for _, c := range p.Classes {
		if c.Match(err) {
			return c.Schedule
		}
	}
	return p.Schedule
}

// delay is the wait after the n-th failure that is waited for, from 1, without
// jitter.
func (s Schedule) delay(n int) time.Duration {
	last := len(s.Delays)
	if n <= last {
		return s.Delays[max(n, 1)-1]
	}
	d := s.Delays[last-1]
	if s.Multiplier <= 1 {
		return d
	}
	// In floating point, so that a large power saturates.
	f := float64(d) * math.Pow(s.Multiplier, float64(n-last))
	if f >= float64(s.MaxDelay) {
		return max(s.MaxDelay, d)
	}
	return time.Duration(f)
}

// failed is what a schedule is asked about.
type failed struct {
	attempts int           // made in all
	waits    int           // kept so far, that of this failure not included
	age      time.Duration // since the first failure
	now      time.Time
	asked    time.Duration // by the error; less than 0: nothing
}

// next returns how long after f.now the next attempt is due, or false where the
// message is to be given up.
func (s Schedule) next(f failed) (time.Duration, bool) {
	if f.attempts >= s.MaxAttempts {
		return 0, false
	}
	d := f.asked
	if d < 0 {
		d = s.delay(f.waits + 1)
		if s.Jitter > 0 {
			d += time.Duration(float64(d) * s.Jitter * rand.Float64())
		}
	}
	if len(s.Windows) > 0 {
		d = opening(s.Windows, f.now.Add(d)).Sub(f.now)
	}
	if s.MaxAge > 0 && f.age+d > s.MaxAge {
		return 0, false
	}
	return d, true
}

// excused is the wait of a message that was excused n times before: as long as
// the error asks for, or as the policy says.
func (p Policy) excused(err error, n int) time.Duration {
	if d, ok := failure.Delay(err); ok {
		return min(max(d, 0), p.MaxRetryAfter)
	}
	d := p.Excuse
	for range min(n, 32) {
		if d >= p.MaxExcuseDelay {
			break
		}
		d *= 2
	}
	d = min(d, p.MaxExcuseDelay)
	// Up to a tenth more: an outage excuses many at the same time.
	return d + time.Duration(float64(d)*0.1*rand.Float64())
}
