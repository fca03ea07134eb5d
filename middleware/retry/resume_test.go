package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// resumed is a message that was parked after base attempts.
func resumed(base int) (*message.Message, *delivery.Delivery) {
	d := &delivery.Delivery{Handler: "stock"}
	d.Resume(base)
	return message.NewMessageWithContext(delivery.With(context.Background(), d), "1", nil), d
}

func TestAParkedMessageGetsOneAttemptWithTheNextNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, base := range []int{0, 3, 49} {
			msg, d := resumed(base)
			calls, start := 0, time.Now()
			cfg := retry.Config{OnRetry: func(*message.Message, int, time.Duration, error) { t.Error("told of a retry") }}
			_, err := wrap(t, cfg, func(m *message.Message) ([]*message.Message, error) {
				calls++
				if n := retry.Attempt(m.Context()); n != base+1 {
					t.Errorf("attempt %d, want %d", n, base+1)
				}
				return nil, errBoom
			})(msg)
			var exhausted *retry.ExhaustedError
			if !errors.As(err, &exhausted) || exhausted.Attempts != base+1 || !errors.Is(err, errBoom) || calls != 1 || time.Since(start) != 0 {
				t.Fatalf("after %d attempts: %d calls, %v", base, calls, err)
			}
			if got := d.Attempts(); len(got) != 1 || got[0].Number != base+1 {
				t.Errorf("attempts %+v", got)
			}
		}
	})
}

func TestAParkedMessageSpendsNoAttemptOnAnOutage(t *testing.T) {
	msg, d := resumed(3)
	h, calls := failing(retry.Unavailable(errBoom))
	_, err := wrap(t, retry.Config{}, h)(msg)
	var exhausted *retry.ExhaustedError
	if errors.As(err, &exhausted) || !errors.Is(err, errBoom) || *calls != 1 || len(d.Attempts()) != 0 {
		t.Fatalf("%d calls, %v, attempts %v", *calls, err, d.Attempts())
	}
}

func TestAParkedMessageThatCanNeverSucceedSaysSo(t *testing.T) {
	msg, d := resumed(3)
	permanent := retry.Permanent(errBoom)
	h, calls := failing(permanent)
	_, err := wrap(t, retry.Config{}, h)(msg)
	if err != permanent || *calls != 1 || len(d.Attempts()) != 1 { //nolint:errorlint // as it is
		t.Fatalf("%d calls, %v, attempts %v", *calls, err, d.Attempts())
	}
}
