package sluicegate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// hold is the configuration that keeps the order of a key.
func hold(after park.AfterDead) sluicegate.Config {
	return sluicegate.Config{Park: sluicegate.ParkConfig{Policy: park.Policy{Order: park.Hold, AfterDead: after}}}
}

// keyed publishes three messages of one key, of which the first fails until heals,
// and one of another.
func (s *shop) keyed(heals time.Duration) {
	no := s.fail
	s.fail = func(ctx context.Context, msg *message.Message) error {
		if msg.UUID == "a1" && time.Since(s.begun) < heals {
			return no(ctx, msg)
		}
		return nil
	}
	for _, id := range []string{"a1", "a2", "b1", "a3"} {
		s.publish(id, "sluicegate_key", id[:1])
	}
}

// applied are the messages in the order in which they took effect.
func (s *shop) applied() string {
	s.t.Helper()
	rows, err := s.db.Query("SELECT message FROM effect ORDER BY rowid")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestReleaseLetsLaterMessagesOfTheKeyGoOn(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		s.keyed(10 * time.Minute)
		s.after(time.Hour)
		if got := s.applied(); got != "a2 b1 a3 a1" {
			t.Errorf("applied %s, want the parked one last", got)
		}
	})
}

func TestHoldKeepsLaterMessagesOfTheKeyBehindTheParkedOneAcrossARestart(t *testing.T) {
	parking(t, hold(park.GoOn), func(s *shop) {
		s.keyed(10 * time.Minute)
		s.tasks("held", 2)
		s.publish("a2", "sluicegate_key", "a") // a duplicate of what is held
		s.tasks("held", 2)
		if got := s.applied(); got != "b1" {
			t.Errorf("applied %s while one is parked, want the other key alone", got)
		}
		s.after(7 * time.Minute)
		s.restart()
		s.after(time.Hour)
		if got := s.applied(); got != "b1 a1 a2 a3" {
			t.Errorf("applied %s, want the order of the key", got)
		}
		s.publish("a4", "sluicegate_key", "a")
		if got := s.applied(); got != "b1 a1 a2 a3 a4" {
			t.Errorf("applied %s, want the next at once", got)
		}
	})
}

func TestAfterADeadLetterThoseHeldGoOn(t *testing.T) {
	parking(t, hold(park.GoOn), func(s *shop) {
		s.keyed(24 * time.Hour)
		s.after(time.Hour)
		if got := s.applied(); got != "b1 a2 a3" || len(s.letters()) != 1 {
			t.Errorf("applied %s, %d letters", got, len(s.letters()))
		}
	})
}

func TestAfterADeadLetterThoseHeldWaitForADecisionWhereThePolicySaysSo(t *testing.T) {
	parking(t, hold(park.Await), func(s *shop) {
		s.keyed(24 * time.Hour)
		s.after(90 * time.Minute)
		s.publish("a4", "sluicegate_key", "a")
		if got := s.applied(); got != "b1" || len(s.letters()) != 1 {
			t.Errorf("applied %s, %d letters; want none of the key", got, len(s.letters()))
		}
		stack, err := sluicegate.New(s.db, s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := stack.Proceed(s.t.Context(), "stock", "a9"); !errors.Is(err, park.ErrNotParked) {
			t.Errorf("a message that is not parked: %v", err)
		}
		if err := stack.Proceed(s.t.Context(), "stock", "a1"); err != nil {
			t.Fatal(err)
		}
		s.after(2 * time.Hour)
		if got := s.applied(); got != "b1 a2 a3 a4" || s.rings.count() != 1 {
			t.Errorf("applied %s, %d alerts", got, s.rings.count())
		}
	})
}

func TestADeadLetterThatIsRedrivenRunsBeforeThoseThatWaitForIt(t *testing.T) {
	parking(t, hold(park.Await), func(s *shop) {
		s.keyed(20 * time.Hour)
		s.after(time.Hour)
		desk, err := s.stack.Desk()
		if err != nil {
			s.t.Fatal(err)
		}
		redrive := func(fixed string) {
			s.t.Helper()
			letter := s.letters()[0]
			req := deadletter.RedriveRequest{Selection: deadletter.Selection{IDs: []int64{letter.ID}}, By: "ada"}
			if fixed != "" {
				req.Edit = &deadletter.Edit{Payload: []byte(fixed), Metadata: letter.Message.Metadata}
			}
			if r, err := desk.Redrive(s.t.Context(), req); err != nil || r.Done != 1 {
				s.t.Fatalf("%+v, %v", r, err)
			}
		}
		redrive("") // in vain: it is a dead letter again, and the others still wait
		s.after(3 * time.Hour)
		if got := s.applied(); got != "b1" || len(s.letters()) != 1 || len(s.called("a1")) != 100 {
			s.t.Fatalf("applied %s, %d letters, %d attempts; want none of the key", got, len(s.letters()), len(s.called("a1")))
		}
		s.restart()
		s.after(21 * time.Hour)
		var paid string
		s.fail = func(_ context.Context, msg *message.Message) error {
			if msg.UUID == "a1" {
				paid = string(msg.Payload)
			}
			return nil
		}
		desk, err = s.stack.Desk()
		if err != nil {
			s.t.Fatal(err)
		}
		redrive("fixed")
		s.after(22 * time.Hour)
		if got := s.applied(); got != "b1 a1 a2 a3" || paid != "fixed" || len(s.letters()) != 0 {
			s.t.Errorf("applied %s with %q, %d letters; want the order of the key", got, paid, len(s.letters()))
		}
	})
}
