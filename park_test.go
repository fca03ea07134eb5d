package sluicegate_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/park"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

func TestAHandlerThatAlwaysFailsIsTriedFiftyTimesAndIsThenOneDeadLetterAndOneAlert(t *testing.T) {
	for name, restarts := range map[string][]time.Duration{"one process": nil, "restarts": {2 * time.Minute, 20 * time.Minute, 40*time.Minute + 30*time.Second}} {
		t.Run(name, func(t *testing.T) {
			parking(t, sluicegate.Config{Consumer: "shop"}, func(s *shop) {
				s.publish("order-1", "sluicegate_key", "ada")
				if n := s.seen.count(sluicegate.Parked); n != 1 {
					t.Errorf("%d messages parked when it was acked, want 1", n)
				}
				for _, at := range restarts {
					s.after(at)
					s.restart()
				}
				s.after(3 * time.Hour)
				s.schedule(s.called("order-1"), 50, 2*time.Second)
				letters := s.letters()
				if len(letters) != 1 {
					t.Fatalf("%d dead letters, want 1", len(letters))
				}
				l := letters[0]
				if l.Scope() != "shop/stock" || l.Topic != "orders" || l.Key != "order-1" || string(l.Message.Payload) != "bytes of order-1" ||
					l.Message.Metadata.Get("sluicegate_key") != "ada" {
					t.Errorf("the letter is %+v", l)
				}
				if len(l.Attempts) != 50 {
					t.Fatalf("the letter lists %d attempts, want all 50", len(l.Attempts))
				}
				for i, a := range l.Attempts {
					if a.Number != i+1 || !strings.Contains(a.Err, "warehouse") || a.StartedAt.Sub(s.begun)-s.called("order-1")[i] > time.Second {
						t.Errorf("attempt %d is listed as %+v", i+1, a)
					}
				}
				if n := s.rings.count(); n != 1 {
					t.Errorf("%d alerts, want 1", n)
				}
				if p, r := s.seen.count(sluicegate.Parked), s.seen.count(sluicegate.Resumed); p != 47 || r != 47 {
					t.Errorf("told of %d parked and %d resumed, want 47 each", p, r)
				}
				s.effects(0)
				s.tasks("dead", 1)
				if s.cfg.Store == nil && count(s.t, s.db, "SELECT COUNT(*) FROM sluicegate_inbox WHERE status = 'dead' AND expires_at > 0") != 1 {
					t.Error("the inbox record is not dead")
				}
				s.publish("order-1")
				if n := len(s.called("order-1")); n != 50 {
					t.Error("a duplicate of the dead letter ran")
				}
			})
		})
	}
}

func TestAHandlerThatHealsAtMinuteThirtyIsAppliedOnceAndItsDuplicatesDoNotRun(t *testing.T) {
	for name, restart := range map[string]bool{"one process": false, "a restart": true} {
		t.Run(name, func(t *testing.T) {
			parking(t, sluicegate.Config{}, func(s *shop) {
				no := s.fail
				s.fail = func(ctx context.Context, msg *message.Message) error {
					if time.Since(s.begun) < 30*time.Minute {
						return no(ctx, msg)
					}
					return nil
				}
				s.publish("order-1")
				for _, at := range []time.Duration{time.Minute, 10 * time.Minute} {
					s.after(at)
					before := len(s.called("order-1"))
					s.publish("order-1") // a duplicate of what is parked
					if n := len(s.called("order-1")); n != before {
						t.Errorf("a duplicate of a parked message ran")
					}
				}
				if restart {
					s.after(15 * time.Minute)
					s.restart()
				}
				s.after(2 * time.Hour)
				calls := s.called("order-1")
				if last := calls[len(calls)-1]; last < 30*time.Minute || last > 31*time.Minute {
					t.Errorf("the last attempt was at %v, want at about 30 min", last)
				}
				s.effects(1)
				s.tasks("done", 1)
				s.publish("order-1")
				s.effects(1)
				if n := len(s.letters()) + s.rings.count(); n != 0 {
					t.Errorf("%d letters and alerts", n)
				}
			})
		})
	}
}

func TestADependencyAwayForTwoHoursCostsNoAttemptAndNoDeadLetter(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		s.fail = func(context.Context, *message.Message) error {
			if time.Since(s.begun) < 2*time.Hour {
				return retry.Unavailable(errors.New("connection refused"))
			}
			return nil
		}
		for i := range 2 {
			s.publish(fmt.Sprint("order-", i))
		}
		s.after(3 * time.Hour)
		s.effects(2)
		if n := len(s.letters()) + s.rings.count(); n != 0 {
			t.Errorf("%d letters and alerts", n)
		}
		if n := len(s.called("order-1")); n < 60 || n > 200 {
			t.Errorf("it was tried %d times in two hours, want about once a minute", n)
		}
		if n := count(s.t, s.db, "SELECT MAX(attempts) FROM sluicegate_task"); n != 1 {
			t.Errorf("%d attempts were spent, want the one that succeeded", n)
		}
	})
}

func TestNoMessageIsExcusedForLongerThanItsCap(t *testing.T) {
	cfg := sluicegate.Config{Park: sluicegate.ParkConfig{Policy: park.Policy{MaxExcuse: time.Hour}}}
	parking(t, cfg, func(s *shop) {
		s.fail = func(context.Context, *message.Message) error {
			return retry.Unavailable(errors.New("connection refused"))
		}
		s.publish("order-1")
		s.after(59 * time.Minute)
		if n := len(s.letters()); n != 0 {
			t.Fatal("given up while it is excused")
		}
		s.after(3 * time.Hour)
		letters := s.letters()
		if len(letters) != 1 || s.rings.count() != 1 {
			t.Fatalf("%d letters, %d alerts; want 1, 1", len(letters), s.rings.count())
		}
		if a := letters[0].Attempts; len(a) != 50 || !strings.Contains(letters[0].Reason, "unavailable for 1h") {
			t.Errorf("%d attempts; %s", len(a), letters[0].Reason)
		}
		s.effects(0)
	})
}

func TestAPermanentFailureIsNotParkedAndEndsWhatIs(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		no := s.fail
		s.fail = func(ctx context.Context, msg *message.Message) error {
			if msg.UUID == "never" || time.Since(s.begun) > 6*time.Minute {
				return retry.Permanent(errors.New("no such product"))
			}
			return no(ctx, msg)
		}
		s.publish("never")
		s.publish("later")
		if n := len(s.called("never")); n != 1 || len(s.letters()) != 1 {
			t.Errorf("%d attempts, %d letters; want 1, 1", n, len(s.letters()))
		}
		s.after(time.Hour)
		letters := s.letters()
		if len(letters) != 2 {
			t.Fatalf("%d letters, want 2", len(letters))
		}
		of := slices.IndexFunc(letters, func(l deadletter.Letter) bool { return l.Message.UUID == "later" })
		if n := len(s.called("later")); of < 0 || n < 5 || n > 7 || len(letters[of].Attempts) != n {
			t.Errorf("%d attempts, of which the letters list others: %+v", n, letters)
		}
	})
}

func TestRetryAfterIsKeptWhileParked(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		no := s.fail
		s.fail = func(ctx context.Context, msg *message.Message) error {
			if time.Since(s.begun) < time.Hour {
				return retry.RetryAfter(no(ctx, msg), 2*time.Hour)
			}
			return nil
		}
		s.publish("order-1")
		s.after(3 * time.Hour)
		calls := s.called("order-1")
		if len(calls) != 4 || calls[3]-calls[2] < 2*time.Hour || calls[3]-calls[2] > 2*time.Hour+2*time.Second {
			t.Errorf("attempts at %v, want one 2 h after the third", calls)
		}
		s.effects(1)
	})
}

func TestACircuitKeepsAnOutageFromTheHandlerAndParkingKeepsItsMessages(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		s.fail = func(context.Context, *message.Message) error {
			if time.Since(s.begun) < 20*time.Minute {
				return errors.New("status 500") // a failure like any other, but for its number
			}
			return nil
		}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() { s.publish(fmt.Sprint("order-", i)) })
		}
		wg.Wait()
		if n := s.seen.count(sluicegate.CircuitOpened); n != 1 {
			t.Errorf("the circuit opened %d times, want once", n)
		}
		s.after(40 * time.Minute)
		s.effects(12)
		if n := len(s.letters()); n != 0 {
			t.Errorf("%d letters: messages behind an open circuit were given up", n)
		}
		s.mu.Lock()
		calls := len(s.order)
		s.mu.Unlock()
		if calls > 12*3+20*2+12*2 {
			t.Errorf("the handler was called %d times", calls)
		}
		if n := s.seen.count(sluicegate.CircuitClosed); n != 1 {
			t.Errorf("the circuit closed %d times, want once", n)
		}
	})
}

func TestAnOutageThatIsRecognisedSpendsNoAttempt(t *testing.T) {
	parking(t, sluicegate.Config{}, func(s *shop) {
		s.fail = func(context.Context, *message.Message) error {
			if time.Since(s.begun) < time.Hour {
				return fmt.Errorf("ask the bank: %w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
			}
			return nil
		}
		s.publish("order-1")
		s.after(2 * time.Hour)
		s.effects(1)
		if n := count(s.t, s.db, "SELECT attempts FROM sluicegate_task"); n != 1 {
			t.Errorf("%d attempts, want the one that succeeded", n)
		}
	})
}
