package schedule_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

const queue = "park"

// bench is a schedule in a bubble, whose clock is the bubble's.
type bench struct {
	*schedule.Schedule
	t     *testing.T
	db    *sql.DB
	looks *atomic.Int64 // statements so far: each reads the clock once
	log   *strings.Builder
	began time.Time
}

// inBubble runs fn on virtual time.
func inBubble(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, db: open(t, "OFF"), looks: &atomic.Int64{}, log: &strings.Builder{}, began: time.Now()}
		s, err := schedule.New(b.db, schedule.Config{Now: func() time.Time {
			b.looks.Add(1)
			return time.Now()
		}})
		must(t, err)
		b.Schedule = s
		fn(t, b)
	})
}

func (b *bench) add(specs ...schedule.Spec) {
	b.t.Helper()
	for _, s := range specs {
		s.Queue = queue
		if added, err := b.Add(b.t.Context(), s); err != nil || !added {
			b.t.Fatalf("add %q: %v, %v", s.Key, added, err)
		}
	}
}

// start runs a worker; stop ends it and waits for it.
func (b *bench) start(h schedule.Handler, cfg schedule.WorkerConfig) (w *schedule.Worker, stop func()) {
	b.t.Helper()
	if cfg.Jitter == 0 {
		cfg.Jitter = schedule.NoJitter
	}
	w, err := schedule.NewWorker(b.Schedule, queue, h, cfg)
	must(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(stop)
	return w, stop
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// calls notes when a handler was called.
type calls struct {
	mu    sync.Mutex
	began time.Time
	at    map[string][]time.Duration
}

func (b *bench) calls() *calls { return &calls{began: b.began, at: map[string][]time.Duration{}} }

func (c *calls) note(t schedule.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[t.Key] = append(c.at[t.Key], time.Since(c.began))
}

func (c *calls) of(key string) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.at[key]...)
}

func (c *calls) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at {
		n += len(at)
	}
	return n
}

func again(t schedule.Task, d time.Duration) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: d, Attempts: t.Attempts + 1, Error: "no"}
}

var done = schedule.Outcome{Status: schedule.Done}

// near says whether a call came when it was due: not before, and at once.
func near(got, want time.Duration) bool { return got >= want && got-want <= 200*time.Millisecond }

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
		for i := range 30 {
			b.add(schedule.Spec{Target: "a", Key: fmt.Sprint(i)}, schedule.Spec{Target: "b", Key: fmt.Sprint(i)})
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
		}, schedule.WorkerConfig{Concurrency: 5, PerTarget: 3})
		pass(20 * time.Second)
		if most["a"] != 3 || most["b"] != 3 || mostOfAll != 5 {
			t.Errorf("at most %v at a time, %d in all; want 3 of each, 5 in all", most, mostOfAll)
		}
		if counts, err := b.Counts(t.Context(), queue); err != nil || counts.Of[schedule.Done] != 60 {
			t.Errorf("%+v, %v: want all done", counts, err)
		}
	})
}

func TestALongHandlerKeepsItsTask(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		b.add(schedule.Spec{Key: "long"})
		for range 3 {
			b.start(func(ctx context.Context, t schedule.Task) schedule.Outcome {
				c.note(t)
				select {
				case <-time.After(time.Hour):
				case <-ctx.Done():
				}
				return done
			}, schedule.WorkerConfig{})
		}
		pass(2 * time.Hour)
		if n := c.total(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestWhoHasATaskThatIsCancelledLearnsOfIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		var cause error
		b.add(schedule.Spec{Key: "a"})
		b.start(func(ctx context.Context, t schedule.Task) schedule.Outcome {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return again(t, 0)
		}, schedule.WorkerConfig{Lease: 30 * time.Second})
		pass(time.Second)
		task, err := b.Find(t.Context(), queue, "", "a")
		must(t, err)
		must(t, b.Cancel(t.Context(), task.ID))
		pass(11 * time.Second)
		if !errors.Is(cause, schedule.ErrStale) {
			t.Errorf("the handler's context ended with %v", cause)
		}
		if task, err = b.Get(t.Context(), task.ID); err != nil || task.Status != schedule.Cancelled {
			t.Errorf("%+v, %v", task, err)
		}
	})
}

func TestAStoppedWorkerGivesBackWhatIsToRunAgainAndKeepsWhatIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.add(schedule.Spec{Key: "again", Attempts: 5, State: []byte("s")}, schedule.Spec{Key: "done"})
		_, stop := b.start(func(ctx context.Context, t schedule.Task) schedule.Outcome {
			<-ctx.Done()
			if t.Key == "done" {
				return done
			}
			o := again(t, time.Hour)
			o.State = []byte("spoilt")
			return o
		}, schedule.WorkerConfig{})
		pass(time.Second)
		stop()
		task, err := b.Find(t.Context(), queue, "", "again")
		must(t, err)
		if task.Attempts != 5 || string(task.State) != "s" || task.Leased || task.Due.After(time.Now()) {
			t.Errorf("%+v: want it as it was", task)
		}
		if counts, err := b.Counts(t.Context(), queue); err != nil || counts.Of[schedule.Done] != 1 || counts.Due != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

func TestAHandlerThatPanicsExitsOrAnswersNonsenseSpendsAnAttempt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.add(schedule.Spec{Key: "panic"}, schedule.Spec{Key: "exit"}, schedule.Spec{Key: "nonsense"}, schedule.Spec{Key: "good"})
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			switch t.Key {
			case "panic":
				panic("out of order")
			case "exit":
				runtime.Goexit()
			case "nonsense":
				return schedule.Outcome{}
			}
			return done
		}, schedule.WorkerConfig{})
		pass(10 * time.Second)
		for key, want := range map[string]string{"panic": "out of order", "exit": "goroutine", "nonsense": "Outcome.Status"} {
			task, err := b.Find(t.Context(), queue, "", key)
			if err != nil || task.Attempts != 1 || !strings.Contains(task.Error, want) || !task.Due.After(time.Now()) {
				t.Errorf("%s: %+v, %v", key, task, err)
			}
		}
		if counts, err := b.Counts(t.Context(), queue); err != nil || counts.Of[schedule.Done] != 1 {
			t.Errorf("%+v, %v: want the good one done", counts, err)
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
		var targets atomic.Value
		targets.Store([]string{})
		c := b.calls()
		b.add(schedule.Spec{Target: "a", Key: "a"}, schedule.Spec{Target: "b", Key: "b"})
		w, _ := b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done },
			schedule.WorkerConfig{Targets: func() []string { return targets.Load().([]string) }})
		pass(time.Minute)
		if n := c.total(); n != 0 {
			t.Errorf("%d calls with no target", n)
		}
		targets.Store([]string{"b"})
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

func TestADatabaseThatIsAwayIsWaitedForAndToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		db := open(t, "OFF")
		s, err := schedule.New(db, schedule.Config{Now: time.Now})
		must(t, err)
		b.Schedule = s
		c := b.calls()
		_, err = db.Exec("ALTER TABLE sluicegate_task RENAME TO away")
		must(t, err)
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done },
			schedule.WorkerConfig{Logger: slog.New(slog.NewTextHandler(b.log, nil))})
		pass(time.Hour)
		_, err = db.Exec("ALTER TABLE away RENAME TO sluicegate_task")
		must(t, err)
		b.add(schedule.Spec{Key: "a"})
		pass(10 * time.Second)
		if c.total() != 1 {
			t.Error("the worker did not come back")
		}
		if n := strings.Count(b.log.String(), "could not claim"); n != 1 {
			t.Errorf("told %d times:\n%s", n, b.log)
		}
	})
}

func TestAWorkerRunsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		w, _ := b.start(func(context.Context, schedule.Task) schedule.Outcome { return done }, schedule.WorkerConfig{})
		synctest.Wait()
		if err := w.Run(t.Context()); err == nil {
			t.Error("a second Run began")
		}
	})
}

func TestWhatIsWrongWithAWorkersConfigurationIsNamed(t *testing.T) {
	s, err := schedule.New(open(t, "OFF"), schedule.Config{})
	must(t, err)
	h := func(context.Context, schedule.Task) schedule.Outcome { return done }
	for field, cfg := range map[string]schedule.WorkerConfig{
		"Concurrency": {Concurrency: -1}, "PerTarget": {Concurrency: 2, PerTarget: 3}, "Lease": {Lease: 1},
		"PollMin": {PollMin: -1}, "PollMax": {PollMin: 2 * time.Second, PollMax: time.Second}, "Jitter": {Jitter: 1.5},
	} {
		if _, err := schedule.NewWorker(s, queue, h, cfg); err == nil || !strings.Contains(err.Error(), "WorkerConfig."+field) {
			t.Errorf("%+v: error %v, want one that names %s", cfg, err, field)
		}
	}
	if _, err := schedule.NewWorker(nil, "", nil, schedule.WorkerConfig{}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %v, want three problems", err)
	}
}

func TestALeaseIsRenewedUntilTheHandlerHasReturnedAlsoWhileTheWorkerStops(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		b.add(schedule.Spec{Key: "slow to end"})
		h := func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			<-time.After(10 * time.Minute) // whatever its context says
			return done
		}
		_, stop := b.start(h, schedule.WorkerConfig{})
		pass(time.Second)
		go stop()
		b.start(h, schedule.WorkerConfig{})
		pass(20 * time.Minute)
		if n := c.total(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestASettlementThatTheDatabaseDoesNotTakeNowIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		var file, name string
		var n int
		must(t, b.db.QueryRow("PRAGMA database_list").Scan(&n, &name, &file))
		other, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
		must(t, err)
		defer func() { _ = other.Close() }()
		_, err = b.db.Exec("PRAGMA busy_timeout = 0") // SQLite waits in real time
		must(t, err)
		c := b.calls()
		b.add(schedule.Spec{Key: "a"})
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			<-time.After(time.Second)
			return done
		}, schedule.WorkerConfig{})
		pass(500 * time.Millisecond)
		tx, err := other.Begin() // keeps everybody else from writing
		must(t, err)
		pass(40 * time.Second)
		must(t, tx.Rollback())
		pass(2 * time.Minute)
		if counts, err := b.Counts(t.Context(), queue); err != nil || counts.Of[schedule.Done] != 1 || c.total() != 1 {
			t.Errorf("%+v, %v after %d calls; want it done after 1", counts, err, c.total())
		}
	})
}
