package schedule_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

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
