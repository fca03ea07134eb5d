package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

func TestATaskRunsEveryMinuteUpToItsLastAttemptAlsoAcrossARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		policy := func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			if t.Attempts+1 == 50 {
				return schedule.Outcome{Status: schedule.Dead, Attempts: 50, Error: "no"}
			}
			return again(t, time.Minute)
		}
		b.add(schedule.Spec{Key: "bad", Delay: 4 * time.Minute, Attempts: 3})
		_, stop := b.start(policy, schedule.WorkerConfig{})
		pass(20*time.Minute + 10*time.Second)
		stop()
		b.start(policy, schedule.WorkerConfig{})
		pass(2 * time.Hour)
		at := c.of("bad")
		if len(at) != 47 {
			t.Fatalf("%d attempts after the first 3, want 47", len(at))
		}
		for i, got := range at {
			// Each counts from the end of the one before, so what a look takes adds up.
			if want := 4*time.Minute + time.Duration(i)*time.Minute; !near(got, want) {
				t.Fatalf("attempt %d at %v, want %v", i+4, got, want)
			}
		}
		tasks, err := b.List(t.Context(), schedule.Filter{Queue: queue})
		must(t, err)
		if len(tasks) != 1 || tasks[0].Status != schedule.Dead || tasks[0].Attempts != 50 {
			t.Fatalf("%+v", tasks)
		}
	})
}

func TestATaskThatHealsIsAppliedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		applied := 0
		b.add(schedule.Spec{Key: "a", Delay: 4 * time.Minute})
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			if time.Since(b.began) < 30*time.Minute {
				return again(t, time.Minute)
			}
			applied++
			return done
		}, schedule.WorkerConfig{})
		pass(3 * time.Hour)
		if n := len(c.of("a")); applied != 1 || n != 27 {
			t.Fatalf("applied %d times in %d calls, want once in 27", applied, n)
		}
	})
}

func TestATaskIsWorkedWhenItIsDueAndNotAtTheNextPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done }, schedule.WorkerConfig{PollMax: time.Minute})
		pass(time.Second)
		w, stop := b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done }, schedule.WorkerConfig{PollMax: time.Minute})
		defer stop()
		b.add(schedule.Spec{Key: "at once"}, schedule.Spec{Key: "soon", Delay: 12345 * time.Millisecond})
		w.Wake()
		pass(time.Minute)
		if at := c.of("at once"); len(at) != 1 || !near(at[0], time.Second) {
			t.Errorf("woken at %v", at)
		}
		if at := c.of("soon"); len(at) != 1 || !near(at[0], time.Second+12345*time.Millisecond) {
			t.Errorf("worked at %v", at)
		}
	})
}

func TestAnIdleWorkerAsksTwiceAPollAndNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.add(schedule.Spec{Key: "far", Delay: 1000 * time.Hour})
		b.start(func(context.Context, schedule.Task) schedule.Outcome { return done }, schedule.WorkerConfig{Retain: -1, RetainDead: -1})
		pass(time.Second)
		before := b.looks.Load()
		pass(time.Hour)
		if n := b.looks.Load() - before; n > 2*3600/5+4 {
			t.Errorf("%d statements in an hour", n)
		}
	})
}

func TestThousandFailingTasksDelayNoGoodOne(t *testing.T) {
	for name, target := range map[string]string{"of another target": "good", "of the same target": "bad"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				t.Helper()
				c := b.calls()
				for i := range 1000 {
					b.add(schedule.Spec{Target: "bad", Key: fmt.Sprint("bad", i)})
				}
				b.start(func(ctx context.Context, t schedule.Task) schedule.Outcome {
					if t.Key == "good" {
						c.note(t)
						return done
					}
					select { // as a dependency that times out
					case <-time.After(time.Second):
					case <-ctx.Done():
					}
					return again(t, 10*time.Second)
				}, schedule.WorkerConfig{PollMax: time.Second})
				pass(95 * time.Second) // far more is due than can be worked
				b.add(schedule.Spec{Target: target, Key: "good"})
				added := time.Since(b.began)
				pass(3 * time.Minute)
				limit := 1100 * time.Millisecond // one poll: places are kept free of the bad target
				if target == "bad" {
					limit = 90 * time.Second // once round all those that have failed before
				}
				if at := c.of("good"); len(at) != 1 || at[0]-added > limit {
					t.Errorf("worked at %v, added at %v", at, added)
				}
			})
		})
	}
}

func TestMoreReplicasMakeNoMoreAttempts(t *testing.T) {
	count := map[int]int{}
	for _, replicas := range []int{1, 8} {
		inBubble(t, func(t *testing.T, b *bench) {
			t.Helper()
			c := b.calls()
			for i := range 20 {
				b.add(schedule.Spec{Target: fmt.Sprint(i % 3), Key: fmt.Sprint(i)})
			}
			for range replicas {
				b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
					c.note(t)
					return again(t, time.Minute)
				}, schedule.WorkerConfig{})
			}
			pass(30*time.Minute + 10*time.Second)
			count[replicas] = c.total()
		})
	}
	if count[1] != 20*31 || count[8] != count[1] {
		t.Errorf("%d attempts with one worker, %d with eight, want %d", count[1], count[8], 20*31)
	}
}

func TestConcurrencyAndPlacesOfATargetAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		var mu sync.Mutex
		now, most, all, mostOfAll := map[string]int{}, map[string]int{}, 0, 0
		const total = 24 // two of each of two targets, the others of one
		for i := range total {
			target := "t0"
			if i < 6 {
				target = fmt.Sprint("t", i%3)
			}
			b.add(schedule.Spec{Target: target, Key: fmt.Sprint(i)})
		}
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			mu.Lock()
			now[t.Target]++
			all++
			most[t.Target], mostOfAll = max(most[t.Target], now[t.Target]), max(mostOfAll, all)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			defer mu.Unlock()
			now[t.Target]--
			all--
			return done
		}, schedule.WorkerConfig{Concurrency: 5, PerTarget: 2})
		pass(20 * time.Second)
		if most["t0"] != 2 || most["t1"] > 2 || most["t2"] > 2 || mostOfAll != 5 {
			t.Errorf("at most %v at a time, %d in all; want 2 of one, 5 in all", most, mostOfAll)
		}
		if counts, err := b.Counts(t.Context(), queue); err != nil || counts.Of[schedule.Done] != total {
			t.Errorf("%+v, %v: want all done", counts, err)
		}
	})
}

func TestJitterLengthensADelayAndNeverShortensIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		for i := range 50 {
			b.add(schedule.Spec{Key: fmt.Sprint(i)})
		}
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			return again(t, time.Hour)
		}, schedule.WorkerConfig{Jitter: 0.5})
		pass(100 * time.Minute)
		spread := map[time.Duration]bool{}
		for i := range 50 {
			at := c.of(fmt.Sprint(i))
			if len(at) != 2 || at[1]-at[0] < time.Hour || at[1]-at[0] > 90*time.Minute+time.Second {
				t.Fatalf("calls at %v", at)
			}
			spread[(at[1] - at[0]).Truncate(time.Minute)] = true
		}
		if len(spread) < 10 {
			t.Errorf("50 tasks came back within %d minutes", len(spread))
		}
	})
}

func TestAWorkerClaimsTheTargetsThatItIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		var targets atomic.Pointer[[]string]
		targets.Store(&[]string{})
		c := b.calls()
		b.add(schedule.Spec{Target: "a", Key: "a"}, schedule.Spec{Target: "b", Key: "b"})
		w, _ := b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done },
			schedule.WorkerConfig{Targets: func() []string { return *targets.Load() }})
		pass(time.Minute)
		if n := c.total(); n != 0 {
			t.Errorf("%d calls with no target", n)
		}
		targets.Store(&[]string{"b"})
		w.Wake()
		before := b.looks.Load()
		pass(time.Minute)
		if len(c.of("b")) != 1 || c.total() != 1 {
			t.Errorf("calls %v", c.at)
		}
		if n := b.looks.Load() - before; n > 40 {
			t.Errorf("%d statements in a minute, with a due task of another's target", n)
		}
	})
}

func TestFinishedTasksAreRemovedAfterTheirRetention(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.add(schedule.Spec{Key: "done"}, schedule.Spec{Key: "dead"})
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			return schedule.Outcome{Status: schedule.Status(t.Key)}
		}, schedule.WorkerConfig{Retain: time.Hour, RetainDead: 3 * time.Hour})
		for _, step := range []struct {
			pass time.Duration
			want int
		}{{55 * time.Minute, 2}, {10 * time.Minute, 1}, {110 * time.Minute, 1}, {10 * time.Minute, 0}} {
			pass(step.pass)
			tasks, err := b.List(t.Context(), schedule.Filter{Queue: queue})
			if err != nil || len(tasks) != step.want {
				t.Fatalf("after %v: %d tasks, %v, want %d", time.Since(b.began), len(tasks), err, step.want)
			}
		}
	})
}
