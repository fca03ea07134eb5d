package trap_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/delay"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/middleware/recovery"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/middleware/timeout"
)

// waits returns the waits between the calls of a handler that always fails.
func waits(mw message.HandlerMiddleware) []time.Duration {
	var out []time.Duration
	last := time.Time{}
	_, _ = mw(func(*message.Message) ([]*message.Message, error) {
		if now := time.Now(); !last.IsZero() {
			out = append(out, now.Sub(last))
		}
		last = time.Now()
		return nil, errBoom
	})(message.NewMessage("1", nil))
	return out
}

func TestWatermillsRetryWaitsOtherwiseOnceAHookListensAndOursDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := middleware.Retry{MaxRetries: 4, InitialInterval: 20 * time.Millisecond, MaxInterval: time.Second, Multiplier: 2}
		var plainTold, oursTold []time.Duration
		hooked := plain
		hooked.OnRetryHook = func(_ int, d time.Duration) { plainTold = append(plainTold, d) }
		ours := retry.Config{MaxAttempts: 5, Initial: 20 * time.Millisecond, Max: time.Second, Jitter: retry.NoJitter}
		oursHooked := ours
		oursHooked.OnRetry = func(_ *message.Message, _ int, d time.Duration, _ error) { oursTold = append(oursTold, d) }

		for name, c := range map[string]struct {
			mw   message.HandlerMiddleware
			want string
		}{
			"plain without a hook": {plain.Middleware, "[20ms 40ms 80ms 160ms]"},
			"plain with a hook":    {hooked.Middleware, "[20ms 80ms 320ms 1s]"},
			"ours without a hook":  {must(retry.New(ours))(t), "[20ms 40ms 80ms 160ms]"},
			"ours with a hook":     {must(retry.New(oursHooked))(t), "[20ms 40ms 80ms 160ms]"},
		} {
			if got := fmt.Sprint(waits(c.mw)); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
		// What the hooks were told: the plain one hears nothing of the first
		// failure, and of delays that are not kept.
		if got := fmt.Sprint(plainTold); got != "[40ms 160ms 640ms 1s]" {
			t.Errorf("the plain hook was told %s", got)
		}
		if got := fmt.Sprint(oursTold); got != "[20ms 40ms 80ms 160ms]" {
			t.Errorf("our hook was told %s", got)
		}
	})
}

func TestWatermillsRetryWithOnlyAnInitialIntervalNeverGrowsAndOursDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := waits(middleware.Retry{MaxRetries: 4, InitialInterval: 20 * time.Millisecond}.Middleware)
		if plain[3] > plain[0] {
			t.Errorf("plain: %v: the trap is gone", plain)
		}
		ours := waits(must(retry.New(retry.Config{MaxAttempts: 5, Initial: 20 * time.Millisecond, Jitter: retry.NoJitter}))(t))
		if got := fmt.Sprint(ours); got != "[20ms 40ms 80ms 160ms]" {
			t.Errorf("ours: %s", got)
		}
		t.Logf("plain %v, ours %v", plain, ours)
	})
}

func TestDelayOnErrorWithAFractionNeverGrowsAndOurBackoffDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := middleware.DelayOnError{InitialInterval: time.Second, MaxInterval: time.Hour, Multiplier: 1.5}
		msg := message.NewMessage("1", nil)
		for range 5 { // the broker hands back what the metadata says
			_, _ = plain.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, errBoom })(msg)
		}
		if got := msg.Metadata.Get(delay.DelayedForKey); got != "1s" {
			t.Errorf("plain after 5 failures: %s: the trap is gone", got)
		}
		ours := waits(must(retry.New(retry.Config{MaxAttempts: 5, Initial: time.Second, Max: time.Hour, Multiplier: 1.5, Jitter: retry.NoJitter}))(t))
		if got := fmt.Sprint(ours); got != "[1s 1.5s 2.25s 3.375s]" {
			t.Errorf("ours: %s", got)
		}
	})
}

func TestWatermillsTimeoutLeavesTheMessageOnACancelledContextAndOursDoesNot(t *testing.T) {
	plainRetry := middleware.Retry{MaxRetries: 2}.Middleware
	ourRetry := must(retry.New(retry.Config{}))(t)
	for name, c := range map[string]struct {
		retry, timeout message.HandlerMiddleware
		attempts       int
		left           error
	}{
		"plain": {plainRetry, middleware.Timeout(time.Minute), 3, context.Canceled},
		"ours":  {ourRetry, must(timeout.New(timeout.Config{Timeout: time.Minute}))(t), 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				msg := message.NewMessage("1", nil)
				_, err := c.retry(c.timeout(func(msg *message.Message) ([]*message.Message, error) {
					if attempts++; attempts == 1 {
						return nil, errBoom
					}
					return nil, msg.Context().Err() // a query on the context
				}))(msg)
				if attempts != c.attempts || (err == nil) != (c.left == nil) || msg.Context().Err() != c.left { //nolint:errorlint // identity
					t.Errorf("%d attempts, %v, left on a context with %v", attempts, err, msg.Context().Err())
				}
			})
		})
	}
}

func TestWatermillsRecovererPutsThePayloadIntoTheErrorAndOursDoesNot(t *testing.T) {
	thrower := func(msg *message.Message) ([]*message.Message, error) {
		panic(struct{ Card string }{string(msg.Payload)})
	}
	msg := message.NewMessage("1", []byte("card 4111"))
	if _, err := middleware.Recoverer(thrower)(msg); !strings.Contains(err.Error(), "4111") {
		t.Errorf("plain: %v: the trap is gone", err)
	}
	if _, err := must(recovery.New(recovery.Config{}))(t)(thrower)(msg); err == nil || strings.Contains(err.Error(), "4111") {
		t.Errorf("ours: %v", err)
	}
}

// oneTransaction is what a service writes by hand around Watermill's Retry.
func oneTransaction(db *sql.DB, h func(*sql.Tx) message.HandlerFunc, mw message.HandlerMiddleware) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		tx, err := db.BeginTx(msg.Context(), nil)
		if err != nil {
			return nil, err
		}
		out, err := mw(h(tx))(msg)
		if err != nil {
			_ = tx.Rollback()
			return nil, err
		}
		return out, tx.Commit()
	}
}

// Attempt 1 writes and then fails outside SQL; attempt 2 succeeds.
func TestRetryInsideOneTransactionDoublesTheEffectAndOursHasAFreshOneForEachAttempt(t *testing.T) {
	attempts := 0
	take := func(tx *sql.Tx) error {
		attempts++
		if _, err := tx.Exec("INSERT INTO effect (id) VALUES ('order-1')"); err != nil {
			return err
		}
		if attempts == 1 {
			return errBoom // the call to another service
		}
		return nil
	}
	t.Run("plain", func(t *testing.T) {
		attempts = 0
		db := sqlite(t)
		h := oneTransaction(db, func(tx *sql.Tx) message.HandlerFunc {
			return func(*message.Message) ([]*message.Message, error) { return nil, take(tx) }
		}, middleware.Retry{MaxRetries: 2}.Middleware)
		if got := routertest.Start(t, h).Deliver(message.NewMessage("1", nil)); got != routertest.Acked || attempts != 2 {
			t.Fatal(got, attempts)
		}
		if n := effects(t, db); n != 2 {
			t.Errorf("%d effects: the trap is gone", n)
		}
	})
	t.Run("ours", func(t *testing.T) {
		attempts = 0
		db := sqlite(t)
		inTx := must(idempotency.Transaction(idempotency.DB(db, nil), must(sqlstore.New(db, sqlstore.Config{}))(t), idempotency.TxConfig{}))(t)
		again := must(retry.New(retry.Config{Initial: time.Millisecond}))(t)
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			tx, _ := idempotency.Native[*sql.Tx](msg.Context())
			return nil, take(tx)
		}, again, inTx)
		if got := r.Deliver(message.NewMessage("1", nil)); got != routertest.Acked || attempts != 2 {
			t.Fatal(got, attempts)
		}
		if n := effects(t, db); n != 1 {
			t.Errorf("%d effects, want 1", n)
		}
	})
}
