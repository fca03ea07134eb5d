package notifytest

import (
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

var targetCases = []testCase{
	{"what is addressed to a target that is not there yet is held for it", func(b *bench) {
		n := b.begin(notify.Config{})
		b.notify(n, "shop", "order-1")
		pass(24 * hour)
		b.expect(n, "shop", "order-1", notify.Held, 0)
		b.put(n, notify.Target{Name: "shop"})
		pass(time.Second)
		b.expect(n, "shop", "order-1", notify.Delivered, 1)
	}},
	{"a target that is disabled by hand is not called, from the next attempt on", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(10 * time.Second) // three attempts
		b.must(n.Disable(ctx, "shop", "they asked", "alice"))
		pass(48 * hour)
		b.expect(n, "shop", "order-1", notify.Held, 3)
		b.must(n.Enable(ctx, "shop", "bob"))
		b.must(n.Enable(ctx, "shop", "bob")) // twice is the same
		began := time.Now()
		pass(hour)
		// The schedule goes on where it was.
		b.waits(b.Calls("shop")[3:], began, 30*time.Second, time.Minute, 2*time.Minute, 5*time.Minute, 10*time.Minute, 30*time.Minute)
		for _, err := range []error{n.Disable(ctx, "nobody", "", "alice"), n.Enable(ctx, "nobody", "alice")} {
			if err == nil {
				b.Error("a target that is not there was changed")
			}
		}
	}},
	{"a target has no more calls under way than it may, and no more in a second", func(b *bench) {
		b.Answers(func(Call) Answer { return Answer{Status: 200, After: time.Second} })
		n := b.notifier(b.db, notify.Config{PerTarget: 4})
		b.put(n, notify.Target{Name: "default"})
		b.put(n, notify.Target{Name: "one", Concurrency: 1})
		b.put(n, notify.Target{Name: "slow", Rate: 0.5})
		b.put(n, notify.Target{Name: "slower", Rate: 0.05})
		for i := range 8 {
			for _, target := range []string{"default", "one", "slow", "slower"} {
				b.notify(n, target, fmt.Sprint(i))
			}
		}
		b.start(n)
		began := time.Now()
		pass(hour)
		for target, want := range map[string]struct {
			most int
			last time.Duration // when the last began
		}{"default": {4, time.Second}, "one": {1, 7 * time.Second}, "slow": {4, 14 * time.Second}, "slower": {4, 140 * time.Second}} {
			calls := b.Calls(target)
			if len(calls) != 8 {
				b.Errorf("%s: %d calls", target, len(calls))
				continue
			}
			if most := atOnce(calls); most > want.most {
				b.Errorf("%s: %d calls at once, want up to %d", target, most, want.most)
			}
			if got := calls[7].At.Sub(began); got < want.last || got > 2*want.last {
				b.Errorf("%s: the last call after %s, want about %s", target, got, want.last)
			}
		}
	}},
	{"a circuit opens when different notifications fail, and one at a time is tried", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{Circuit: 3, MaxPause: 20 * time.Second, Schedule: notify.Schedule{Delays: []time.Duration{time.Second}}})
		b.put(n, notify.Target{Name: "shop"})
		for i := range 30 {
			b.notify(n, "shop", fmt.Sprint(i))
		}
		pass(10 * time.Minute)
		failed := len(b.Calls("shop"))
		if failed < 20 || failed > 50 { // without a circuit: 30 in each second
			b.Errorf("%d calls within ten minutes", failed)
		}
		if emitted, resolved := b.alerts.named(notify.NameDown); emitted == 0 || resolved != 0 {
			b.Errorf("%d alerts, %d resolved", emitted, resolved)
		}
		b.Answers(status(200))
		pass(30 * time.Second)
		counts, err := n.Counts(ctx, "shop")
		if err != nil || counts[notify.Delivered] != 30 {
			b.Errorf("%v, %v", counts, err)
		}
		if _, resolved := b.alerts.named(notify.NameDown); resolved != 1 {
			b.Error("the circuit was not told to be closed")
		}
	}},
	{"one notification that fails does not open the circuit for the others", func(b *bench) {
		n := b.begin(notify.Config{Circuit: 3})
		b.put(n, notify.Target{Name: "shop"})
		b.Answers(func(c Call) Answer {
			if string(c.Body) == `{"id":"bad"}` {
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		b.notify(n, "shop", "bad")
		pass(21*time.Second + 200*time.Millisecond) // its fourth failure is fresh
		for i := range 10 {
			at := time.Now()
			b.notify(n, "shop", fmt.Sprint(i))
			pass(time.Second)
			calls := b.Calls("shop")
			if got := calls[len(calls)-1].At.Sub(at); !near(got, 0) {
				b.Errorf("came after %s", got)
			}
		}
	}},
}

func atOnce(calls []Call) (most int) {
	for _, c := range calls {
		n := 0
		for _, other := range calls {
			if !other.At.After(c.At) && other.Ended.After(c.At) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
