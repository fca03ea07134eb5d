package park

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// sequence is all waits of a schedule after a number of attempts at once.
func sequence(s Schedule, base int, start time.Time) (waits []time.Duration) {
	s = s.withDefaults()
	now := start
	for n := 0; ; n++ {
		d, ok := s.next(failed{attempts: base + n, waits: n, age: now.Sub(start), now: now, asked: -1})
		if !ok {
			return waits
		}
		waits = append(waits, d)
		now = now.Add(d)
	}
}

func TestTheDefaultIsFourMinutesThenEveryMinuteAndFiftyAttemptsInAll(t *testing.T) {
	waits := sequence(Schedule{}, 3, time.Now())
	if len(waits) != 47 {
		t.Fatalf("%d attempts after the 3 at once, want 47", len(waits))
	}
	for i, d := range waits {
		want := time.Minute
		if i == 0 {
			want = 4 * time.Minute
		}
		if d != want {
			t.Errorf("wait %d is %v, want %v", i+1, d, want)
		}
	}
}

func TestDaysGrowsToSixHoursOverAWeek(t *testing.T) {
	waits := sequence(Days(), 3, time.Now())
	var sum time.Duration
	for i, d := range waits {
		if i > 0 && d < waits[i-1] {
			t.Errorf("wait %d shrinks to %v", i+1, d)
		}
		sum += d
	}
	if last := waits[len(waits)-1]; last != 6*time.Hour || sum < 6*day || sum > 7*day {
		t.Errorf("the last wait is %v, in all %v; want 6h and about a week", last, sum)
	}
}

func TestASchedule(t *testing.T) {
	m, h := time.Minute, time.Hour
	for name, c := range map[string]struct {
		s    Schedule
		want []time.Duration
	}{
		"is a list whose last is repeated": {Schedule{MaxAttempts: 6, Delays: []time.Duration{m, 5 * m}}, []time.Duration{m, 5 * m, 5 * m}},
		"grows up to a cap":                {Schedule{MaxAttempts: 8, Delays: []time.Duration{m}, Multiplier: 3, MaxDelay: 10 * m}, []time.Duration{m, 3 * m, 9 * m, 10 * m, 10 * m}},
		"grows from the last of a list":    {Schedule{MaxAttempts: 7, Delays: []time.Duration{h, m}, Multiplier: 2, MaxDelay: 3 * m}, []time.Duration{h, m, 2 * m, 3 * m}},
		"ends with its age":                {Schedule{MaxAge: 10 * m, Delays: []time.Duration{4 * m}}, []time.Duration{4 * m, 4 * m}},
		"has no attempt beyond the first":  {Schedule{MaxAttempts: 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.s.validate("Schedule"); err != nil {
				t.Fatal(err)
			}
			got := sequence(c.s, 3, time.Now())
			if len(got) != len(c.want) {
				t.Fatalf("waits %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("waits %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestAHugePowerSaturatesAtTheCap(t *testing.T) {
	s := Exponential(time.Second, 6*time.Hour, 1000).withDefaults()
	s.Jitter = 0
	for _, n := range []int{20, 64, 999, math.MaxInt32} {
		if d := s.delay(n); d != 6*time.Hour {
			t.Errorf("delay %d is %v", n, d)
		}
	}
}

func TestJitterLengthensEachDelayByItsShareAtMost(t *testing.T) {
	s := Schedule{Delays: []time.Duration{time.Minute}, Jitter: 0.5}.withDefaults()
	seen := map[time.Duration]bool{}
	for range 100 {
		d, _ := s.next(failed{attempts: 1, asked: -1})
		if d < time.Minute || d > 90*time.Second {
			t.Fatalf("a minute became %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different delays of 100", len(seen))
	}
}

func TestADelayThatAnErrorAsksForStandsInPlaceOfTheSchedules(t *testing.T) {
	p := Policy{}.withDefaults()
	for asked, want := range map[time.Duration]time.Duration{
		time.Hour: time.Hour, time.Second: time.Second, -time.Second: 0, 1 << 62: 24 * time.Hour,
	} {
		d, ok := p.wait(failureAfter(errors.New("too many requests"), asked), failed{attempts: 3})
		if !ok || d != want {
			t.Errorf("asked for %v, got %v, %v; want %v", asked, d, ok, want)
		}
	}
	p.Windows = []Window{{From: 2 * time.Hour, To: 6 * time.Hour}}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if d, _ := p.wait(failureAfter(errors.New("later"), time.Hour), failed{attempts: 3, now: noon}); d != 14*time.Hour {
		t.Errorf("asked for an hour from noon on, with a window from 2 to 6: %v, want 14h", d)
	}
}

func TestAnErrorsClassHasItsOwnSchedule(t *testing.T) {
	timeout := errors.New("timeout")
	p := Policy{Classes: []Class{{
		Name: "slow", Match: func(err error) bool { return errors.Is(err, timeout) },
		Schedule: Schedule{MaxAttempts: 5, Delays: []time.Duration{time.Hour}},
	}}}.withDefaults()
	if d, ok := p.wait(errors.Join(timeout), failed{attempts: 3}); d != time.Hour || !ok {
		t.Errorf("the class waits %v, %v", d, ok)
	}
	if _, ok := p.wait(timeout, failed{attempts: 5}); ok {
		t.Error("the class goes on after its attempts")
	}
	if d, ok := p.wait(errors.New("other"), failed{attempts: 5}); d != 4*time.Minute || !ok {
		t.Errorf("others wait %v, %v", d, ok)
	}
}

func TestWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	h := time.Hour
	night := Window{From: 2 * h, To: 6 * h, Location: berlin}
	late := Window{From: 22 * h, To: 4 * h, Location: berlin}
	for name, c := range map[string]struct {
		w        []Window
		now, get string
	}{
		"inside is now":                        {[]Window{night}, "2026-03-02 03:30", "2026-03-02 03:30"},
		"before is today":                      {[]Window{night}, "2026-03-02 01:00", "2026-03-02 02:00"},
		"after is tomorrow":                    {[]Window{night}, "2026-03-02 06:00", "2026-03-03 02:00"},
		"over midnight, before it":             {[]Window{late}, "2026-03-02 23:00", "2026-03-02 23:00"},
		"over midnight, after it":              {[]Window{late}, "2026-03-02 03:59", "2026-03-02 03:59"},
		"over midnight, by day":                {[]Window{late}, "2026-03-02 04:00", "2026-03-02 22:00"},
		"the earliest of two":                  {[]Window{late, {From: 12 * h, To: 13 * h, Location: berlin}}, "2026-03-02 05:00", "2026-03-02 12:00"},
		"only on its days":                     {[]Window{{From: 2 * h, To: 6 * h, Days: []time.Weekday{time.Sunday}, Location: berlin}}, "2026-03-02 03:00", "2026-03-08 02:00"},
		"a whole day":                          {[]Window{{From: 0, To: 24 * h, Location: berlin}}, "2026-03-02 03:00", "2026-03-02 03:00"},
		"summer time swallows it, the next is": {[]Window{{From: 2 * h, To: 3 * h, Days: []time.Weekday{time.Sunday}, Location: berlin}}, "2026-03-29 01:00", "2026-04-05 02:00"},
		"the clock of the place counts":        {[]Window{{From: 2 * h, To: 6 * h, Location: time.UTC}}, "2026-03-02 02:30", "2026-03-02 03:00"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := opening(c.w, at(c.now)); !got.Equal(at(c.get)) {
				t.Errorf("at %s it opens %s, want %s", c.now, got.In(berlin), c.get)
			}
		})
	}
}

func TestAPolicyThatCannotBeKeptIsRefusedByField(t *testing.T) {
	h := time.Hour
	for want, p := range map[string]Policy{
		"Policy.MaxAttempts: -1":                {Schedule: Schedule{MaxAttempts: -1}},
		"Policy.MaxAttempts: 20001":             {Schedule: Schedule{MaxAttempts: 20_001}},
		"Policy.MaxAge: -1h":                    {Schedule: Schedule{MaxAge: -h}},
		"Policy.Delays[1]: 0s":                  {Schedule: Schedule{Delays: []time.Duration{h, 0}}},
		"Policy.Delays[0]: -1h":                 {Schedule: Schedule{Delays: []time.Duration{-h}}},
		"Policy.Delays: 50 attempts would take": {Schedule: Schedule{Delays: []time.Duration{30 * day}}},
		"Policy.Delays: 20000 attempts would take more than 292 years": {
			Schedule: Schedule{MaxAttempts: 20_000, Delays: []time.Duration{math.MaxInt64}}},
		"Policy.Multiplier: 0.5":                   {Schedule: Schedule{Multiplier: 0.5}},
		"Policy.Multiplier: NaN":                   {Schedule: Schedule{Multiplier: math.NaN()}},
		"Policy.Multiplier: +Inf":                  {Schedule: Schedule{Multiplier: math.Inf(1)}},
		"Policy.MaxDelay: 1h0m0s caps":             {Schedule: Schedule{MaxDelay: h}},
		"Policy.MaxDelay: 1h0m0s is less":          {Schedule: Schedule{Delays: []time.Duration{2 * h}, Multiplier: 2, MaxDelay: h}},
		"Policy.MaxDelay: -1h0m0s":                 {Schedule: Schedule{MaxDelay: -h}},
		"Policy.Jitter: 1.5":                       {Schedule: Schedule{Jitter: 1.5}},
		"Policy.Jitter: NaN":                       {Schedule: Schedule{Jitter: math.NaN()}},
		"Policy.Windows[0].From: 25h":              {Schedule: Schedule{Windows: []Window{{From: 25 * h, To: h}}}},
		"Policy.Windows[0].To: the window opens":   {Schedule: Schedule{Windows: []Window{{From: 2 * h, To: 2 * h}}}},
		"Policy.Windows[0].Days: 7":                {Schedule: Schedule{Windows: []Window{{To: h, Days: []time.Weekday{7}}}}},
		"Policy.Classes[0] (slow).Match":           {Classes: []Class{{Name: "slow"}}},
		"Policy.Classes[0].Schedule.MaxAttempts":   {Classes: []Class{{Match: func(error) bool { return true }, Schedule: Schedule{MaxAttempts: -1}}}},
		"Policy.Order: 2":                          {Order: 2},
		"Policy.AfterDead: 2":                      {AfterDead: 2},
		"Policy.AfterDead: Await needs Order Hold": {AfterDead: Await},
		"Policy.MaxRetryAfter: -1h":                {MaxRetryAfter: -h},
		"Policy.Excuse: -1h":                       {Excuse: -h},
		"Policy.MaxExcuse: 9000h0m0s is more":      {MaxExcuse: 9000 * h},
		"Policy.MaxExcuseDelay: 1h0m0s is less":    {Excuse: 2 * h, MaxExcuseDelay: h},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
	for name, p := range map[string]Policy{
		"the zero value": {}, "Days": {Schedule: Days()}, "Exponential": {Schedule: Exponential(time.Minute, 6*h, 100)},
		"an age ends it": {Schedule: Schedule{MaxAge: 7 * day, Delays: []time.Duration{30 * day}}},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllProblemsOfAConfigurationAreReportedTogether(t *testing.T) {
	_, err := New(nil, Config{
		Policy: Policy{Schedule: Schedule{MaxAttempts: -1, MaxAge: -1}}, Immediate: -1, PutTimeout: -1,
		Handlers: map[string]Policy{"stock": {Order: 9}},
	})
	for _, want := range []string{"table: is nil", "Config.Policy.MaxAttempts", "Config.Policy.MaxAge", "Config.Immediate", "Config.PutTimeout", `Config.Handlers["stock"].Order`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
	_, err = Config{Immediate: 3, Handlers: map[string]Policy{"stock": {Schedule: Schedule{MaxAttempts: 3}}}}.withDefaults()
	if err == nil || !strings.Contains(err.Error(), `Config.Handlers["stock"].MaxAttempts: 3 is not more`) {
		t.Errorf("a policy that never parks was accepted: %v", err)
	}
}

func TestAnExcuseDoublesUpToItsCap(t *testing.T) {
	p := Policy{}.withDefaults()
	for n, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1000: time.Minute} {
		if d := p.excused(errors.New("away"), n); d < want || d > want+want/10 {
			t.Errorf("excuse %d waits %v, want about %v", n, d, want)
		}
	}
}
