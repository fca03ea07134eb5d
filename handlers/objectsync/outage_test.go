package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

func TestAnOutageSpendsNoAttempt(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	cfg := objectsync.Config{Schedule: objectsync.Schedule{MaxAttempts: 2}}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		b.store.breakWith(func(context.Context, string, string) error { return refused })
		b.run()
		b.write("lamp", "1")
		b.Wake()
		pass(time.Hour)
		if r := b.record("1"); r.Status != objectsync.Pending {
			t.Errorf("%+v", r)
		}
		// 10, 20, 40 s, and then a minute and the 3 s of the tries.
		if n := len(b.store.of("stat")) / 3; n < 54 || n > 60 {
			t.Errorf("%d runs in an hour", n)
		}
		if b.alerts.of(objectsync.AlertFailed) != 0 || b.alerts.of(objectsync.AlertUnreachable) == 0 {
			t.Error("want alerts of the outage, and none of a failure")
		}
		// The first of two attempts comes after it.
		b.store.breakWith(only("put", errBroken))
		_, err := b.Sync(t.Context(), "1")
		must(t, err)
		if r := b.record("1"); r.Status != objectsync.Pending || len(b.store.of("put")) != 3 {
			t.Errorf("after %d writes: %+v", len(b.store.of("put")), r)
		}
		b.store.breakWith(nil)
		pass(2 * time.Minute)
		b.equal()
	})
}

func TestALostRaceInTheDatabaseSpendsNoAttempt(t *testing.T) {
	var loses atomic.Bool
	loses.Store(true)
	cfg := objectsync.Config{Schedule: objectsync.Schedule{MaxAttempts: 1}}
	cfg.Load = func(ctx context.Context, db *sql.DB, entity string) (objectsync.Object, error) {
		if loses.Load() {
			return objectsync.Object{}, fmt.Errorf("read product: %w", sqltable.ErrContended)
		}
		return load(ctx, db, entity)
	}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		b.run()
		b.write("lamp", "1")
		b.Wake()
		pass(time.Minute)
		if r := b.record("1"); r.Status != objectsync.Pending || b.alerts.of(objectsync.AlertFailed) != 0 {
			t.Errorf("%+v", r)
		}
		loses.Store(false)
		pass(2 * time.Minute)
		b.equal()
	})
}

func TestAStopIsNoFailure(t *testing.T) {
	cfg := objectsync.Config{Schedule: objectsync.Schedule{MaxAttempts: 1}}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		b.store.breakWith(func(ctx context.Context, op, _ string) error {
			if op == "put" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		b.write("lamp", "1")
		stop := b.run()
		pass(time.Second)
		stop()
		if n := len(b.store.of("put")); n != 1 {
			t.Fatalf("%d writes", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res, err := b.Sync(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) || res[0].Status != objectsync.Pending {
			t.Errorf("%v %v", res, err)
		}
		if r := b.record("1"); r.Status != objectsync.Pending || r.Error != "" {
			t.Errorf("%+v", r)
		}
		b.store.breakWith(nil)
		b.run()
		pass(time.Second)
		b.equal()
	})
}
