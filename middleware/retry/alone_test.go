package retry_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

func TestItWorksAloneOnAPlainRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := retry.New(retry.Config{Observe: func(e retry.Event) {
			if e.Handler != routertest.Handler || e.Topic != routertest.Topic {
				t.Errorf("%+v", e)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		good, bad := 0, 0
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			if msg.UUID == "bad" {
				bad++
				return nil, errBoom
			}
			if good++; good < 3 {
				return nil, errBoom
			}
			return nil, nil
		}, m)
		if got := r.Deliver(message.NewMessage("good", nil)); got != routertest.Acked || good != 3 {
			t.Errorf("%s after %d attempts", got, good)
		}
		if got := r.Deliver(message.NewMessage("bad", nil)); got != routertest.Nacked || bad != 3 {
			t.Errorf("%s after %d attempts", got, bad)
		}
	})
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := retry.New(retry.Config{MaxAttempts: -1, Initial: -1, Max: -1, Multiplier: 0.5, Jitter: 9})
	for _, field := range []string{"Config.MaxAttempts", "Config.Initial", "Config.Max:", "Config.Multiplier", "Config.Jitter"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if _, err := retry.New(retry.Config{Initial: time.Minute, Max: time.Second}); err == nil || !strings.Contains(err.Error(), "Config.Max:") {
		t.Errorf("Max below Initial: %v", err)
	}
	if _, err := retry.New(retry.Config{Initial: time.Minute}); err != nil {
		t.Errorf("a long Initial alone must raise the default of Max: %v", err)
	}
}
