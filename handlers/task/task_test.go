package task_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

var (
	errNo   = errors.New("the partner says no")
	refused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

func seconds(list ...int) (out []time.Duration) {
	for _, s := range list {
		out = append(out, time.Duration(s)*time.Second)
	}
	return out
}

func TestWhatAnErrorSaysDecidesWhatBecomesOfATask(t *testing.T) {
	cfg := task.Config{Delays: []time.Duration{time.Second, 10 * time.Second}, MaxAttempts: 4, Away: time.Minute, MaxRetryAfter: time.Hour, Timeout: 5 * time.Second}
	for name, c := range map[string]struct {
		fn       task.Func
		status   task.Status
		attempts int
		calls    []time.Duration
		text     string
		alerts   int
	}{
		"success":    {func(context.Context, task.Task) task.Outcome { return task.Succeeded() }, task.Done, 1, seconds(0), "", 0},
		"failure":    {func(context.Context, task.Task) task.Outcome { return task.Failed(errNo) }, task.Dead, 4, seconds(0, 1, 11, 21), errNo.Error(), 1},
		"permanent":  {func(context.Context, task.Task) task.Outcome { return task.Failed(retry.Permanent(errNo)) }, task.Dead, 1, seconds(0), errNo.Error(), 1},
		"withdrawn":  {func(context.Context, task.Task) task.Outcome { return task.Withdrawn("the order is gone") }, task.Cancelled, 0, seconds(0), "the order is gone", 0},
		"panic":      {func(context.Context, task.Task) task.Outcome { panic("boom") }, task.Dead, 4, seconds(0, 1, 11, 21), "panicked", 1},
		"no outcome": {func(context.Context, task.Task) task.Outcome { return task.Outcome{} }, task.Dead, 4, seconds(0, 1, 11, 21), "no outcome", 1},
		"nil error":  {func(context.Context, task.Task) task.Outcome { return task.Failed(nil) }, task.Dead, 4, seconds(0, 1, 11, 21), "no outcome", 1},
		"time-out": {func(ctx context.Context, _ task.Task) task.Outcome {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), task.ErrTimeout) {
				return task.Withdrawn("the cause is another one")
			}
			return task.Failed(fmt.Errorf("%w: %w", refused, ctx.Err())) // it looks like an outage
		}, task.Dead, 4, seconds(0, 6, 21, 36), "timed out", 1},
		"later": {func(_ context.Context, t task.Task) task.Outcome {
			if len(t.State) == 3 {
				return task.Succeeded()
			}
			return task.Later(time.Minute).Keep(append(t.State, 'x'))
		}, task.Done, 1, seconds(0, 60, 120, 180), "", 0},
		"away": {func(_ context.Context, t task.Task) task.Outcome {
			if len(t.State) == 3 {
				return task.Succeeded()
			}
			return task.Failed(fmt.Errorf("call partner: %w", refused)).Keep(append(t.State, 'x'))
		}, task.Done, 1, seconds(0, 60, 120, 180), "", 0},
		"retry after": {func(_ context.Context, t task.Task) task.Outcome {
			return task.Failed(retry.RetryAfter(errNo, map[int]time.Duration{0: 2 * time.Second, 1: -1, 2: 24 * time.Hour}[t.Attempts]))
		}, task.Dead, 4, seconds(0, 2, 2, 3602), errNo.Error(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, cfg, func(t *testing.T, b *bench) {
				b.start(c.fn)
				b.add(task.Spec{Target: "partner-7", Key: "order-1"})
				pass(2 * time.Hour)
				got := b.only(c.status)
				if got.Attempts != c.attempts || !strings.Contains(got.Error, c.text) || got.FinishedAt.IsZero() {
					t.Errorf("the task is %+v; want %d attempts and the error %q", got, c.attempts, c.text)
				}
				if !slices.Equal(b.called(), c.calls) {
					t.Errorf("it was called at %v, want %v", b.called(), c.calls)
				}
				if len(b.told()) != c.alerts {
					t.Fatalf("%d alerts, want %d", len(b.told()), c.alerts)
				}
				if c.alerts > 0 {
					a := b.told()[0]
					if a.Name != task.AlertDead || a.Labels["queue"] != "invoice" || a.Labels["target"] != "partner-7" || a.Key != "order-1" || !strings.Contains(a.Reason, c.text) {
						t.Errorf("the alert is %+v", a)
					}
				}
			})
		})
	}
}

func TestATaskIsThereIfAndOnlyIfItsTransactionCommits(t *testing.T) {
	inBubble(t, task.Config{}, func(t *testing.T, b *bench) {
		b.start(func(context.Context, task.Task) task.Outcome { return task.Succeeded() })
		tx, err := b.db.Begin()
		must(t, err)
		_, err = b.Add(t.Context(), tx, task.Spec{Key: "order-1"})
		must(t, err)
		must(t, tx.Rollback())
		b.Wake()
		pass(time.Hour)
		if len(b.called()) != 0 {
			t.Error("the task of a transaction that was rolled back ran")
		}
		b.add(task.Spec{Key: "order-1", Delay: time.Minute})
		tx, err = b.db.Begin()
		must(t, err)
		if added, err := b.Add(t.Context(), tx, task.Spec{Key: "order-1"}); added || err != nil {
			t.Errorf("the same key was added again: %v, %v", added, err)
		}
		must(t, tx.Commit())
		if found, err := b.Find(t.Context(), "", "order-1"); err != nil || found.Queue != "invoice" || found.Status != task.Waiting {
			t.Errorf("found %+v, %v", found, err)
		}
		pass(2 * time.Minute)
		if len(b.called()) != 1 {
			t.Errorf("the task ran %d times, want once", len(b.called()))
		}
		b.add(task.Spec{Key: "order-1"}) // it is finished, so the key is free
		pass(time.Minute)
		if len(b.called()) != 2 {
			t.Errorf("the tasks ran %d times, want twice", len(b.called()))
		}
	})
}

func TestWhatAnOutcomeWritesIsThereIfAndOnlyIfTheOutcomeIs(t *testing.T) {
	inBubble(t, task.Config{Delays: []time.Duration{time.Minute}}, func(t *testing.T, b *bench) {
		fails := 2
		b.start(func(_ context.Context, got task.Task) task.Outcome {
			return task.Succeeded().And(func(ctx context.Context, tx *sql.Tx) error {
				if err := mark(got.Key)(ctx, tx); err != nil {
					return err
				}
				if fails--; fails >= 0 {
					return errNo
				}
				return nil
			})
		})
		b.add(task.Spec{Key: "order-1"})
		pass(time.Second)
		b.sent(0)
		if w := b.only(task.Waiting); w.Attempts != 1 || !strings.Contains(w.Error, errNo.Error()) {
			t.Errorf("after a write that failed: %+v", w)
		}
		pass(10 * time.Minute)
		b.sent(1)
		if d := b.only(task.Done); d.Attempts != 3 {
			t.Errorf("%d attempts, want 3", d.Attempts)
		}
	})
}

// A task that was cancelled while it was at work writes nothing any more.
func TestWhoIsStaleWritesNothing(t *testing.T) {
	inBubble(t, task.Config{}, func(t *testing.T, b *bench) {
		working, goOn := make(chan task.Task, 1), make(chan struct{})
		b.start(func(_ context.Context, got task.Task) task.Outcome {
			working <- got
			<-goOn
			return task.Succeeded().And(mark(got.Key))
		})
		b.add(task.Spec{Key: "order-1"})
		got := <-working
		if err := b.RunNow(t.Context(), got.ID); !errors.Is(err, task.ErrAtWork) {
			t.Errorf("run now, of a task at work: %v", err)
		}
		must(t, b.Cancel(t.Context(), got.ID))
		close(goOn)
		pass(time.Hour)
		b.sent(0)
		b.only(task.Cancelled)
		if err := b.Cancel(t.Context(), got.ID); !errors.Is(err, task.ErrFinished) {
			t.Errorf("cancel of a task that is finished: %v", err)
		}
	})
}

func TestWhatIsCutOffByTheStopSpendsNoAttempt(t *testing.T) {
	inBubble(t, task.Config{}, func(t *testing.T, b *bench) {
		working := make(chan struct{}, 1)
		stop := b.start(func(ctx context.Context, got task.Task) task.Outcome {
			working <- struct{}{}
			<-ctx.Done()
			return task.Failed(ctx.Err()).And(mark(got.Key))
		})
		b.add(task.Spec{Key: "order-1"})
		<-working
		stop()
		if w := b.only(task.Waiting); w.Attempts != 0 || w.AtWork {
			t.Errorf("after the stop: %+v", w)
		}
		b.sent(0)
		b.start(func(context.Context, task.Task) task.Outcome { return task.Succeeded() })
		pass(time.Second)
		b.only(task.Done)
	})
}

func TestAGroupIsWorkedInItsOrder(t *testing.T) {
	inBubble(t, task.Config{Delays: []time.Duration{time.Minute}, MaxAttempts: 2}, func(t *testing.T, b *bench) {
		var order []string
		b.start(func(_ context.Context, got task.Task) task.Outcome {
			order = append(order, got.Key)
			if got.Key == "first" {
				return task.Failed(errNo)
			}
			return task.Succeeded()
		})
		b.add(task.Spec{Key: "first", Group: "order-1"}, task.Spec{Key: "second", Group: "order-1"}, task.Spec{Key: "third", Group: "order-1"})
		pass(30 * time.Second)
		c, err := b.Counts(t.Context())
		if must(t, err); c.Of[task.Held] != 2 || c.Of[task.Waiting] != 1 || c.Due != 0 {
			t.Errorf("%+v, want one that waits and two behind it", c)
		}
		held, err := b.List(t.Context(), task.Filter{Status: task.Held, Group: "order-1"})
		must(t, err)
		if err := b.RunNow(t.Context(), held[0].ID); !errors.Is(err, task.ErrHeld) {
			t.Errorf("run now, of one that is held: %v", err)
		}
		waiting := b.only(task.Waiting)
		must(t, b.RunNow(t.Context(), waiting.ID))
		pass(time.Second)
		if want := []string{"first", "first", "second", "third"}; !slices.Equal(order, want) {
			t.Errorf("the order was %v, want %v", order, want)
		}
	})
}

func TestATaskThatIsTooOldIsGivenUpWhereAnOutageGoesOn(t *testing.T) {
	inBubble(t, task.Config{MaxAge: 24 * time.Hour, Away: time.Hour}, func(t *testing.T, b *bench) {
		b.start(func(context.Context, task.Task) task.Outcome { return task.Failed(retry.Unavailable(errNo)) })
		b.add(task.Spec{Key: "order-1"})
		pass(23 * time.Hour)
		if w := b.only(task.Waiting); w.Attempts != 0 {
			t.Errorf("an outage spent %d attempts", w.Attempts)
		}
		pass(2 * time.Hour)
		b.only(task.Dead)
		if len(b.told()) != 1 {
			t.Errorf("%d alerts, want one", len(b.told()))
		}
	})
}

func TestOneTargetThatHangsLeavesRoomForTheOthers(t *testing.T) {
	inBubble(t, task.Config{Concurrency: 4, Timeout: time.Hour}, func(t *testing.T, b *bench) {
		b.start(func(ctx context.Context, got task.Task) task.Outcome {
			if got.Target == "slow" {
				<-ctx.Done()
				return task.Failed(ctx.Err())
			}
			return task.Succeeded().And(mark(got.Key))
		})
		for i := range 10 {
			b.add(task.Spec{Target: "slow", Key: fmt.Sprint(i)}, task.Spec{Target: "quick", Key: fmt.Sprint(i)})
		}
		pass(time.Second)
		b.sent(10)
	})
}

func TestQueuesDoNotMeet(t *testing.T) {
	inBubble(t, task.Config{}, func(t *testing.T, b *bench) {
		other, err := task.New(b.db, "parcel", task.Config{Now: time.Now})
		must(t, err)
		b.add(task.Spec{Key: "order-1"})
		id := b.only(task.Waiting).ID
		for what, err := range map[string]error{
			"get": errOf(other.Get(t.Context(), id)), "cancel": other.Cancel(t.Context(), id), "run now": other.RunNow(t.Context(), id),
			"find": errOf(other.Find(t.Context(), "", "order-1")),
		} {
			if !errors.Is(err, task.ErrNotFound) {
				t.Errorf("%s of another queue's task: %v", what, err)
			}
		}
		if _, err := b.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}

func errOf(_ task.Task, err error) error { return err }
