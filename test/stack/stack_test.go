package stack_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

func quick() retry.Config { return retry.Config{Initial: time.Millisecond, Max: time.Millisecond} }

// strengths runs test under both chains.
func strengths(t *testing.T, test func(t *testing.T, p place, cfg sluicegate.Config)) {
	onDatabases(t, func(t *testing.T, p place) {
		t.Run("sql", func(t *testing.T) {
			cfg := p.config()
			cfg.Retry = quick()
			test(t, p, cfg)
		})
		t.Run("redis", func(t *testing.T) {
			if _, err := p.db.Exec("DELETE FROM " + p.table("effect")); err != nil {
				t.Fatal(err)
			}
			cfg := p.config()
			cfg.Retry, cfg.Store = quick(), openRedis(t)
			test(t, p, cfg)
		})
	})
}

func TestAnAttemptThatWroteAndFailedLeavesNothing(t *testing.T) {
	failures := map[string]func(ctx context.Context, tx *sql.Tx) error{
		"outside SQL": func(context.Context, *sql.Tx) error { return errors.New("the warehouse says no") },
		"in SQL": func(ctx context.Context, tx *sql.Tx) error { // aborts a PostgreSQL transaction
			_, err := tx.ExecContext(ctx, "INSERT INTO nowhere_at_all VALUES (1)")
			return err
		},
		"in SQL, and the handler says nothing": func(ctx context.Context, tx *sql.Tx) error {
			_, _ = tx.ExecContext(ctx, "INSERT INTO nowhere_at_all VALUES (1)")
			return errors.New("later")
		},
		"time-out":        func(ctx context.Context, _ *sql.Tx) error { <-ctx.Done(); return ctx.Err() },
		"time-out in SQL": sleepInSQL,
		"panic":           func(context.Context, *sql.Tx) error { panic("boom") },
	}
	strengths(t, func(t *testing.T, p place, cfg sluicegate.Config) {
		cfg.Timeout = 200 * time.Millisecond
		for name, fail := range failures {
			t.Run(name, func(t *testing.T) {
				before := p.effects(t)
				var calls atomic.Int32
				b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
					return s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
						if err := p.insert(ctx, tx, msg); err != nil {
							return err
						}
						if calls.Add(1) == 1 {
							return fail(ctx, tx)
						}
						return nil
					})
				})
				if err := b.Publish("orders", message.NewMessage("order "+name, nil)); err != nil {
					t.Fatal(err)
				}
				if n := calls.Load(); n != 2 {
					t.Errorf("the handler ran %d times, want 2", n)
				}
				if n := p.effects(t) - before; n != 1 {
					t.Errorf("%d effects, want that of the second attempt alone", n)
				}
			})
		}
	})
}

// sleepInSQL is a statement that the deadline interrupts, whichever database.
func sleepInSQL(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "SELECT pg_sleep(10)")
	if ctx.Err() == nil {
		_, err = tx.ExecContext(ctx, "SELECT SLEEP(10)")
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func TestConcurrentDuplicatesHaveOneEffect(t *testing.T) {
	strengths(t, func(t *testing.T, p place, cfg sluicegate.Config) {
		var duplicates atomic.Int32
		cfg.Observe = func(e sluicegate.Event) {
			if e.Kind == sluicegate.Duplicate {
				duplicates.Add(1)
			}
		}
		b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
			return s.Handle(r, "stock", "orders", b.Group("stock"), p.insert)
		})
		const copies = 20
		var wg sync.WaitGroup
		for range copies { // without a partition key they run side by side
			wg.Go(func() {
				if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := p.effects(t); n != 1 {
			t.Errorf("%d effects of %d copies, want 1", n, copies)
		}
		if n := duplicates.Load(); n != copies-1 {
			t.Errorf("%d duplicates seen, want %d", n, copies-1)
		}
	})
}

func TestADeadLetterAndItsInboxRecordAreStoredTogether(t *testing.T) {
	onDatabases(t, func(t *testing.T, p place) {
		cfg := p.config()
		cfg.Retry, cfg.Park.Off = quick(), true
		var calls atomic.Int32
		b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
			return s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
				calls.Add(1)
				return errors.Join(p.insert(ctx, tx, msg), errors.New("no such product"))
			})
		})
		for range 2 {
			if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
				t.Fatal(err)
			}
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("the handler ran %d times, want the 3 attempts of the first delivery", n)
		}
		letters := p.count(t, "SELECT COUNT(*) FROM "+p.table("dead_letter"))
		dead := p.count(t, "SELECT COUNT(*) FROM "+p.table("inbox")+" WHERE handler = ? AND message_key = ? AND status = ?", "stock", "order-1", "dead")
		if letters != 1 || dead != 1 || p.effects(t) != 0 {
			t.Errorf("%d letters, %d dead records, %d effects; want 1, 1, 0", letters, dead, p.effects(t))
		}
	})
}
