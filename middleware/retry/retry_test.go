package retry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

var errBoom = errors.New("boom")

func wrap(t *testing.T, cfg retry.Config, h message.HandlerFunc) message.HandlerFunc {
	t.Helper()
	m, err := retry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m(h)
}

// failing returns a handler that always fails, and its count of calls.
func failing(err error) (message.HandlerFunc, *int) {
	calls := new(int)
	return func(*message.Message) ([]*message.Message, error) { *calls++; return nil, err }, calls
}

func TestTheZeroConfigMakesThreeAttemptsInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, calls := failing(errBoom)
		start := time.Now()
		_, err := wrap(t, retry.Config{}, h)(message.NewMessage("1", nil))
		var exhausted *retry.ExhaustedError
		if !errors.As(err, &exhausted) || exhausted.Attempts != 3 || !errors.Is(err, errBoom) || *calls != 3 {
			t.Fatalf("%d calls, %v", *calls, err)
		}
		if took := time.Since(start); took > retry.DefaultInitial*3 {
			t.Fatalf("waited %s, more than both bounds together", took)
		}
	})
}

func TestDelaysAreTheConfiguredOnesAndEveryoneIsToldTheTrueDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at, hook, observed []time.Duration
		start := time.Now()
		cfg := retry.Config{
			MaxAttempts: 6, Initial: 20 * time.Millisecond, Max: 150 * time.Millisecond, Jitter: retry.NoJitter,
			OnRetry: func(_ *message.Message, n int, d time.Duration, err error) {
				if n != len(hook)+1 || !errors.Is(err, errBoom) {
					t.Errorf("hook told attempt %d, %v", n, err)
				}
				hook = append(hook, d)
			},
			Observe: func(e retry.Event) {
				if e.Kind != event.Retried || e.Attempt != len(observed)+1 || e.MessageID != "1" {
					t.Errorf("observed %+v", e)
				}
				observed = append(observed, e.Delay)
			},
		}
		last := start
		h := wrap(t, cfg, func(*message.Message) ([]*message.Message, error) {
			at = append(at, time.Since(last))
			last = time.Now()
			return nil, errBoom
		})
		_, _ = h(message.NewMessage("1", nil))
		for i, want := range []time.Duration{
			20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond, 150 * time.Millisecond, 150 * time.Millisecond,
		} {
			if at[i+1] != want || hook[i] != want || observed[i] != want {
				t.Errorf("wait %d: kept %s, hook %s, observed %s, want %s", i+1, at[i+1], hook[i], observed[i], want)
			}
		}
		if len(hook) != 5 {
			t.Errorf("%d hooks for 5 waits", len(hook))
		}
	})
}

func TestFullJitterIsTheDefaultAndIsToldTruly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told time.Duration
		varied := map[time.Duration]bool{}
		for range 50 {
			h, _ := failing(errBoom)
			start := time.Now()
			_, _ = wrap(t, retry.Config{MaxAttempts: 2, OnRetry: func(_ *message.Message, _ int, d time.Duration, _ error) { told = d }}, h)(message.NewMessage("1", nil))
			if took := time.Since(start); took != told || took > retry.DefaultInitial {
				t.Fatalf("waited %s, told %s", took, told)
			}
			varied[told] = true
		}
		if len(varied) < 40 {
			t.Fatalf("only %d different delays of 50", len(varied))
		}
	})
}

func TestRetryAfterIsKeptUpToMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: 5 * time.Second, -time.Second: 0} {
			h, _ := failing(retry.RetryAfter(errBoom, asked))
			start := time.Now()
			_, _ = wrap(t, retry.Config{MaxAttempts: 2}, h)(message.NewMessage("1", nil))
			if took := time.Since(start); took != want {
				t.Errorf("asked for %s, waited %s, want %s", asked, took, want)
			}
		}
	})
}

func TestErrorsThatAnotherAttemptCannotCureAreReturnedAtOnceAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		cfg    retry.Config
		counts int
	}{
		"permanent":     {err: retry.Permanent(errBoom), counts: 1},
		"not retryable": {err: errBoom, cfg: retry.Config{Retryable: func(err error) bool { return !errors.Is(err, errBoom) }}, counts: 1},
		"unavailable":   {err: retry.Unavailable(errBoom), counts: 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := &delivery.Delivery{}
			msg := message.NewMessageWithContext(delivery.With(t.Context(), d), "1", nil)
			h, calls := failing(c.err)
			_, err := wrap(t, c.cfg, h)(msg)
			if *calls != 1 || err != c.err { //nolint:errorlint // as it is
				t.Fatalf("%d calls, %v", *calls, err)
			}
			if len(d.Attempts()) != c.counts {
				t.Fatalf("%d attempts counted, want %d", len(d.Attempts()), c.counts)
			}
		})
	}
}

func TestAMessageWhoseContextIsDoneIsNotAttempted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shutdown")
	cancel(cause)
	h, calls := failing(errBoom)
	_, err := wrap(t, retry.Config{}, h)(message.NewMessageWithContext(ctx, "1", nil))
	if *calls != 0 || !errors.Is(err, cause) {
		t.Fatalf("%d calls, %v", *calls, err)
	}
}

func TestAShutdownEndsTheWaitAndTheAttemptItCutsOffDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &delivery.Delivery{}
		ctx, cancel := context.WithCancel(delivery.With(t.Context(), d))
		h, calls := failing(errBoom)
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		_, err := wrap(t, retry.Config{Initial: time.Hour, Jitter: retry.NoJitter}, h)(message.NewMessageWithContext(ctx, "1", nil))
		if *calls != 1 || !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) || time.Since(start) != time.Second {
			t.Fatalf("%d calls, %v after %s", *calls, err, time.Since(start))
		}

		d = &delivery.Delivery{}
		ctx, cancel = context.WithCancel(delivery.With(t.Context(), d))
		nobody := func(*message.Message, int, time.Duration, error) { t.Error("a retry was told that never came") }
		cut := wrap(t, retry.Config{OnRetry: nobody}, func(msg *message.Message) ([]*message.Message, error) {
			cancel()
			return nil, msg.Context().Err()
		})
		_, err = cut(message.NewMessageWithContext(ctx, "1", nil))
		if err != context.Canceled || len(d.Attempts()) != 0 { //nolint:errorlint // as it is
			t.Fatalf("%d attempts, %v", len(d.Attempts()), err)
		}
	})
}

func TestAChildContextThatTheHandlerCancelledIsAFailureLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, calls := failing(context.Canceled)
		_, err := wrap(t, retry.Config{}, h)(message.NewMessage("1", nil))
		var exhausted *retry.ExhaustedError
		if *calls != 3 || !errors.As(err, &exhausted) {
			t.Fatalf("%d calls, %v", *calls, err)
		}
	})
}

func TestEachAttemptStartsWithTheMessageAsItCameIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		msg := message.NewMessage("1", []byte("payload"))
		msg.Metadata.Set("own", "value")
		entry := context.WithValue(delivery.With(t.Context(), &delivery.Delivery{}), key{}, "entry")
		msg.SetContext(entry)
		n := 0
		hook := func(msg *message.Message, _ int, _ time.Duration, _ error) {
			if msg.Context() != entry {
				t.Error("the hook got the context of the failed attempt")
			}
		}
		h := wrap(t, retry.Config{OnRetry: hook}, func(msg *message.Message) ([]*message.Message, error) {
			n++
			if msg.UUID != "1" || string(msg.Payload) != "payload" || len(msg.Metadata) != 1 || msg.Metadata.Get("own") != "value" {
				t.Errorf("attempt %d got %s %s %v", n, msg.UUID, msg.Payload, msg.Metadata)
			}
			if msg.Context().Value(key{}) != "entry" || msg.Context().Err() != nil {
				t.Errorf("attempt %d got a context of another attempt", n)
			}
			ctx, cancel := context.WithCancel(context.WithValue(msg.Context(), key{}, "inner"))
			cancel()
			msg.SetContext(ctx)
			msg.UUID, msg.Payload = "2", []byte("other")
			msg.Metadata.Set("leak", "x")
			delete(msg.Metadata, "own")
			return nil, errBoom
		})
		_, _ = h(msg)
		if n != 3 || msg.Context() != entry || msg.Metadata.Get("leak") != "x" {
			t.Fatalf("after %d attempts the context must be the former one and the last attempt's metadata stay", n)
		}
	})
}

func TestOutputsOfAFailedAttemptAreNotPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		h := wrap(t, retry.Config{}, func(*message.Message) ([]*message.Message, error) {
			n++
			out := []*message.Message{message.NewMessage(strings.Repeat("x", n), nil)}
			if n == 2 {
				return out, nil
			}
			return out, errBoom
		})
		out, err := h(message.NewMessage("1", nil))
		if err != nil || len(out) != 1 || out[0].UUID != "xx" {
			t.Fatalf("%v, %v", out, err)
		}
		if out, err := h(message.NewMessage("1", nil)); err == nil || out != nil {
			t.Fatalf("%v, %v", out, err)
		}
	})
}

func TestEveryAttemptIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &delivery.Delivery{}
		n := 0
		h := wrap(t, retry.Config{Initial: time.Second, Jitter: retry.NoJitter}, func(msg *message.Message) ([]*message.Message, error) {
			n++
			if retry.Attempt(msg.Context()) != n {
				t.Errorf("attempt %d is told as %d", n, retry.Attempt(msg.Context()))
			}
			if n == 3 {
				return nil, nil
			}
			return nil, errBoom
		})
		start := time.Now()
		_, _ = h(message.NewMessageWithContext(delivery.With(t.Context(), d), "1", nil))
		a := d.Attempts()
		if len(a) != 3 || a[0].Err != "boom" || a[2].Err != "" || a[2].Number != 3 || a[2].StartedAt.Sub(start) != 3*time.Second {
			t.Fatalf("%+v", a)
		}
	})
}

func TestAPanicPassesThroughAndThePreviousContextIsBack(t *testing.T) {
	entry := delivery.With(t.Context(), &delivery.Delivery{})
	msg := message.NewMessageWithContext(entry, "1", nil)
	defer func() {
		if recover() == nil || msg.Context() != entry {
			t.Error("want the panic, and the context that the message had")
		}
	}()
	_, _ = wrap(t, retry.Config{}, func(msg *message.Message) ([]*message.Message, error) {
		msg.SetContext(context.Background())
		panic("boom")
	})(msg)
}
