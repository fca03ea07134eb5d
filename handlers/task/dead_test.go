package task_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

func TestWhatIsWrittenOfADeadTaskIsThereWithIt(t *testing.T) {
	for name, fn := range map[string]task.Func{
		"permanent": func(context.Context, task.Task) task.Outcome { return task.Failed(retry.Permanent(errNo)) },
		"failure":   func(context.Context, task.Task) task.Outcome { return task.Failed(errNo) },
		"panic":     func(context.Context, task.Task) task.Outcome { panic("boom") },
		"and": func(context.Context, task.Task) task.Outcome {
			return task.Succeeded().And(func(context.Context, *sql.Tx) error { return errNo })
		},
		"panic of And": func(context.Context, task.Task) task.Outcome {
			return task.Succeeded().And(func(context.Context, *sql.Tx) error { panic("boom") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			fails := 1
			cfg := task.Config{MaxAttempts: 2, Delays: []time.Duration{time.Second}, Lease: time.Minute}
			cfg.Dead = func(ctx context.Context, tx *sql.Tx, dead task.Task) error {
				if dead.Status != task.Dead || dead.Attempts == 0 || dead.Error == "" {
					t.Errorf("it is told of %+v", dead)
				}
				if err := mark(dead.Key)(ctx, tx); err != nil {
					return err
				}
				if fails--; fails >= 0 {
					return errNo
				}
				return nil
			}
			inBubble(t, cfg, func(t *testing.T, b *bench) {
				b.start(fn)
				b.add(task.Spec{Key: "order-1"})
				pass(20 * time.Second)
				b.sent(0)
				if b.only(task.Waiting); len(b.told()) != 0 {
					t.Error("it was told to be dead before it is")
				}
				pass(10 * time.Minute)
				b.sent(1)
				b.only(task.Dead)
			})
		})
	}
}
