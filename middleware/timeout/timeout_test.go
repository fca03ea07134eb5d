package timeout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/timeout"
)

var errBoom = errors.New("boom")

func wrap(t *testing.T, cfg timeout.Config, h message.HandlerFunc) message.HandlerFunc {
	t.Helper()
	m, err := timeout.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m(h)
}

// after returns a handler that ends with err after d, whatever its context says.
func after(d time.Duration, err error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) {
		_ = backoff.Wait(context.Background(), d)
		return []*message.Message{message.NewMessage("out", nil)}, err
	}
}

func TestTheDeadlineIsOursInTheContextAndInTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := wrap(t, timeout.Config{}, func(msg *message.Message) ([]*message.Message, error) {
			<-msg.Context().Done()
			if !errors.Is(context.Cause(msg.Context()), timeout.ErrTimeout) {
				t.Errorf("cause: %v", context.Cause(msg.Context()))
			}
			return nil, msg.Context().Err()
		})
		msg := message.NewMessage("1", nil)
		entry := msg.Context()
		_, err := h(msg)
		var timedOut *timeout.Error
		if !errors.As(err, &timedOut) || timedOut.After != timeout.Default || !errors.Is(err, timeout.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if time.Since(start) != timeout.Default || msg.Context() != entry {
			t.Errorf("after %s; the former context must be back", time.Since(start))
		}
	})
}

func TestSuccessAfterTheDeadlineStaysSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, err := wrap(t, timeout.Config{Timeout: time.Second}, after(time.Minute, nil))(message.NewMessage("1", nil))
		if err != nil || len(out) != 1 {
			t.Fatalf("%v, %v", out, err)
		}
	})
}

func TestAnErrorInTimeStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := wrap(t, timeout.Config{Timeout: time.Second}, after(time.Millisecond, errBoom))(message.NewMessage("1", nil))
		if err != errBoom { //nolint:errorlint // as it is
			t.Fatal(err)
		}
	})
}

func TestAnAbsenceThatOurDeadlineCausedIsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := failure.Unavailable(errBoom)
		_, err := wrap(t, timeout.Config{Timeout: time.Second}, after(time.Minute, away))(message.NewMessage("1", nil))
		if failure.IsUnavailable(err) || !errors.Is(err, timeout.ErrTimeout) || !strings.Contains(err.Error(), "boom") {
			t.Errorf("after the deadline: %v", err)
		}
		_, err = wrap(t, timeout.Config{Timeout: time.Second}, after(time.Millisecond, away))(message.NewMessage("1", nil))
		if !failure.IsUnavailable(err) {
			t.Errorf("in time it is an absence: %v", err)
		}
	})
}

func TestAnEndOfTheMessagesOwnContextIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"shutdown": context.WithCancel,
			"outer deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
		} {
			ctx, cancel := end(t.Context())
			time.AfterFunc(2*time.Second, cancel)
			h := wrap(t, timeout.Config{Timeout: time.Minute}, func(msg *message.Message) ([]*message.Message, error) {
				<-msg.Context().Done()
				return nil, msg.Context().Err()
			})
			_, err := h(message.NewMessageWithContext(ctx, "1", nil))
			if err == nil || errors.Is(err, timeout.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	})
}

func TestTheFormerContextIsBackAfterAPanic(t *testing.T) {
	msg := message.NewMessage("1", nil)
	entry := msg.Context()
	defer func() {
		if recover() == nil || msg.Context() != entry {
			t.Error("want the panic and the former context")
		}
	}()
	_, _ = wrap(t, timeout.Config{}, func(*message.Message) ([]*message.Message, error) { panic("boom") })(msg)
}

func TestItWorksAloneOnAPlainRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := timeout.New(timeout.Config{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			if msg.UUID == "slow" {
				<-msg.Context().Done()
				return nil, msg.Context().Err()
			}
			return nil, nil
		}, m)
		if got := r.Deliver(message.NewMessage("quick", nil)); got != routertest.Acked {
			t.Error(got)
		}
		if got := r.Deliver(message.NewMessage("slow", nil)); got != routertest.Nacked {
			t.Error(got)
		}
	})
}

func TestANegativeTimeoutIsRefused(t *testing.T) {
	if _, err := timeout.New(timeout.Config{Timeout: -1}); err == nil || !strings.Contains(err.Error(), "Config.Timeout") {
		t.Fatal(err)
	}
}
