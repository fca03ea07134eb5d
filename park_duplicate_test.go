package sluicegate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/park"
)

func TestADuplicateThatIsHeldForLongerThanTheRetentionDoesNotRun(t *testing.T) {
	cfg := hold(park.GoOn)
	cfg.Retention = 5 * time.Minute
	parking(t, cfg, func(s *shop) {
		s.fail = func(_ context.Context, msg *message.Message) error {
			if msg.UUID == "a1" && time.Since(s.begun) < 10*time.Minute {
				return errors.New("no")
			}
			return nil
		}
		for _, id := range []string{"a0", "a1", "a0"} {
			s.publish(id, "sluicegate_key", "a")
		}
		if _, err := s.db.Exec("DELETE FROM sluicegate_inbox WHERE status = 'done'"); err != nil { // real time tells when Retention is over here
			s.t.Fatal(err)
		}
		s.after(time.Hour)
		if got := s.applied(); got != "a0 a1" {
			s.t.Errorf("applied %s, want each once", got)
		}
	})
}

func TestADuplicateOfWhatWasTakenOutForGoodDoesNotRun(t *testing.T) {
	parking(t, hold(park.GoOn), func(s *shop) {
		s.fail = func(_ context.Context, msg *message.Message) error {
			if time.Since(s.begun) < 10*time.Minute {
				return errors.New("no")
			}
			return nil
		}
		s.publish("a1", "sluicegate_key", "a")
		s.publish("a2", "sluicegate_key", "a")
		if err := s.stack.Proceed(s.t.Context(), "stock", "a1"); err != nil {
			s.t.Fatal(err)
		}
		s.publish("a1", "sluicegate_key", "a") // behind a2, which waits
		s.after(time.Hour)
		if got := s.applied(); got != "a2" {
			s.t.Errorf("applied %s, want a2 alone", got)
		}
	})
}
