package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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

func TestADatabaseThatDoesNotAnswerIsToldOfAfterALease(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		silent, err := b.db.Conn(t.Context()) // it has no other
		must(t, err)
		c := b.calls()
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done },
			schedule.WorkerConfig{Lease: 20 * time.Second, Logger: slog.New(slog.NewTextHandler(b.log, nil))})
		pass(19 * time.Second)
		if b.log.String() != "" {
			t.Errorf("told too early:\n%s", b.log)
		}
		pass(time.Hour)
		if n := strings.Count(b.log.String(), "could not claim"); n != 1 {
			t.Errorf("told %d times:\n%s", n, b.log)
		}
		must(t, silent.Close())
		b.add(schedule.Spec{Key: "a"})
		pass(30 * time.Second)
		if c.total() != 1 {
			t.Error("the worker did not come back")
		}
	})
}
