package schedule_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

func TestAHandlerEndsWithItsLeaseWhereTheDatabaseDoesNotAnswerARenewal(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.db.SetMaxOpenConns(1)
		var cause error
		var took time.Duration
		b.add(schedule.Spec{Key: "a"})
		b.start(func(ctx context.Context, t schedule.Task) schedule.Outcome {
			began := time.Now()
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			cause, took = context.Cause(ctx), time.Since(began)
			return done
		}, schedule.WorkerConfig{Lease: 30 * time.Second})
		pass(time.Second)
		conn, err := b.db.Conn(t.Context()) // a statement hangs from now on
		must(t, err)
		pass(2 * time.Hour)
		if !errors.Is(cause, schedule.ErrStale) || took > 40*time.Second {
			t.Errorf("the handler's context ended with %v after %v; its lease was 30 s", cause, took)
		}
		must(t, conn.Close())
	})
}
