package schedule_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
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
		db := sqlitetest.Migrate(t, sqlitetest.Open(t))
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
	s, err := schedule.New(sqlitetest.Migrate(t, sqlitetest.Open(t)), schedule.Config{})
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

// What an outcome writes is in the transaction that settles; what settles is told after it.
func TestAnOutcomeWritesInTheTransactionThatSettlesIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		_, err := b.db.Exec("CREATE TABLE mark (task TEXT)")
		must(t, err)
		write := func(fail error) func(context.Context, *sql.Tx) error {
			return func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO mark VALUES ('x')")
				return errors.Join(err, fail)
			}
		}
		marks := func() (n int) {
			t.Helper()
			must(t, b.db.QueryRow("SELECT COUNT(*) FROM mark").Scan(&n))
			return n
		}
		b.add(schedule.Spec{Key: "by hand"})
		tasks, err := b.Claim(t.Context(), schedule.ClaimRequest{Queue: queue, Limit: 1, Lease: time.Minute})
		must(t, err)
		o := schedule.Outcome{Status: schedule.Done, Then: write(nil)}
		tx, err := b.db.Begin()
		must(t, err)
		if err := b.SettleTx(t.Context(), tx, tasks[0], o); !errors.Is(err, schedule.ErrInvalid) {
			t.Errorf("SettleTx with Then: %v", err)
		}
		must(t, tx.Rollback())
		boom := errors.New("boom")
		for name, then := range map[string]func(context.Context, *sql.Tx) error{
			"an error": write(boom), "a panic": func(context.Context, *sql.Tx) error { panic(boom) },
		} {
			err := b.Settle(t.Context(), tasks[0], schedule.Outcome{Status: schedule.Done, Then: then})
			if _, ok := errors.AsType[*schedule.ThenError](err); !ok || marks() != 0 {
				t.Errorf("%s of Then: %v, and %d marks", name, err, marks())
			}
		}
		must(t, b.Settle(t.Context(), tasks[0], o))
		if err := b.Settle(t.Context(), tasks[0], o); !errors.Is(err, schedule.ErrStale) || marks() != 1 {
			t.Errorf("a second settlement: %v, and %d marks, want 1", err, marks())
		}
		var told []schedule.Status
		b.add(schedule.Spec{Key: "by a worker"})
		_, stop := b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			if t.Attempts == 0 {
				return schedule.Outcome{Status: schedule.Done, Then: write(boom)}
			}
			return schedule.Outcome{Status: schedule.Done, Then: write(nil)}
		}, schedule.WorkerConfig{Settled: func(_ schedule.Task, o schedule.Outcome) { told = append(told, o.Status) }})
		pass(10 * time.Minute)
		stop()
		if want := []schedule.Status{schedule.Waiting, schedule.Done}; !slices.Equal(told, want) || marks() != 2 {
			t.Errorf("told %v with %d marks, want %v with 2", told, marks(), want)
		}
		b.add(schedule.Spec{Key: "cut off"})
		working := make(chan struct{})
		_, stop = b.start(func(ctx context.Context, _ schedule.Task) schedule.Outcome {
			close(working)
			<-ctx.Done()
			return schedule.Outcome{Status: schedule.Waiting, Then: write(nil)}
		}, schedule.WorkerConfig{Settled: func(_ schedule.Task, o schedule.Outcome) { told = append(told, o.Status) }})
		<-working
		stop()
		if len(told) != 2 || marks() != 2 {
			t.Errorf("a task that was given back was settled: told %v, %d marks", told, marks())
		}
	})
}
