package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

func TestATaskIsClaimedByItsKeyWhateverItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.add(schedule.Spec{Key: "a", Delay: time.Hour}, schedule.Spec{Key: "b"})
		task, err := b.ClaimKey(ctx, queue, "", "a", time.Minute)
		if must(t, err); task.Key != "a" || !task.Leased {
			t.Fatalf("%+v", task)
		}
		if _, err := b.ClaimKey(ctx, queue, "", "a", time.Minute); !errors.Is(err, schedule.ErrLeased) {
			t.Errorf("a second claim gave %v", err)
		}
		if _, err := b.ClaimKey(ctx, queue, "", "c", time.Minute); !errors.Is(err, schedule.ErrNotFound) {
			t.Errorf("a key that is not there gave %v", err)
		}
		if _, err := b.ClaimKey(ctx, queue, "", "b", 0); !errors.Is(err, schedule.ErrInvalid) {
			t.Errorf("no lease gave %v", err)
		}
		pass(2 * time.Minute) // the lease is over
		again, err := b.ClaimKey(ctx, queue, "", "a", time.Minute)
		if must(t, err); again.Fence != task.Fence+1 {
			t.Errorf("the fence is %d after %d", again.Fence, task.Fence)
		}
		if err := b.Settle(ctx, task, done); !errors.Is(err, schedule.ErrStale) {
			t.Errorf("the former claim settled: %v", err)
		}
		must(t, b.Settle(ctx, again, done))
	})
}

func TestAWorkerLeavesWhatItsHandlerHasSettled(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		calls := 0
		_, stop := b.start(func(ctx context.Context, task schedule.Task) schedule.Outcome {
			calls++
			if err := b.SettleTx(ctx, b.db, task, again(task, time.Minute)); err != nil {
				t.Error(err)
			}
			return schedule.Outcome{Settled: true}
		}, schedule.WorkerConfig{Logger: slog.New(slog.NewTextHandler(b.log, nil))})
		b.add(schedule.Spec{Key: "a"})
		pass(90 * time.Second)
		stop()
		if calls != 2 || b.log.String() != "" {
			t.Errorf("%d calls, want 2; %s", calls, b.log.String())
		}
	})
}
