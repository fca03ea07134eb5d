package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestAHandlerSlowerThanTheLeaseKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, err := r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) {
			for range 20 {
				pass(15 * time.Second)
				rec, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "other", Lease: time.Hour})
				if err != nil || rec.Verdict != idempotency.Busy {
					t.Fatalf("another claim: %+v, %v; want busy", rec, err)
				}
			}
			return nil, nil
		})
		must(t, err)
		must(t, second(r.deliver(t.Context(), succeed)))
		r.ran(1)
	})
}

func TestAHandlerThatGoesOnAfterItsMessageHasEndedKeepsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		must(t, second(r.deliver(ctx, func(*message.Message) ([]*message.Message, error) {
			cancel()
			pass(5 * time.Minute)
			rec, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "other", Lease: time.Hour})
			if err != nil || rec.Verdict != idempotency.Busy {
				t.Errorf("another claim: %+v, %v; want busy", rec, err)
			}
			return nil, nil
		})))
		r.facts.want(t, event.Handled)
	})
}

func TestARenewalHasEndedBeforeTheRecordIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		slow := &slowExtend{Store: r.store.Store}
		mw, err := idempotency.New(slow, idempotency.Config{Handler: "h"})
		must(t, err)
		_, err = mw(func(*message.Message) ([]*message.Message, error) {
			pass(11 * time.Second) // a renewal is under way
			return nil, nil
		})(newMessage(t.Context()))
		must(t, err)
		if slow.overlapped.Load() {
			t.Error("the record was marked while a renewal was under way")
		}
	})
}

// slowExtend takes its time even after its context has ended, and notes a mark
// that does not wait for it.
type slowExtend struct {
	idempotency.Store
	extending, overlapped atomic.Bool
}

func (s *slowExtend) Extend(ctx context.Context, _ idempotency.Key, _ string, _ time.Duration) error {
	s.extending.Store(true)
	defer s.extending.Store(false)
	<-ctx.Done()
	pass(time.Second)
	return ctx.Err()
}

func (s *slowExtend) Complete(ctx context.Context, k idempotency.Key, token string, result []byte, retention time.Duration) error {
	s.overlapped.Store(s.extending.Load())
	return s.Store.Complete(ctx, k, token, result, retention)
}

func TestAHeartbeatThatFailsIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		n := 0
		r.store.fail("extend", func() error {
			if n++; n%3 != 0 { // two of three renewals are lost
				return errStoreAway
			}
			return nil
		})
		must(t, second(r.deliver(t.Context(), func(m *message.Message) ([]*message.Message, error) {
			pass(5 * time.Minute)
			return nil, m.Context().Err()
		})))
		r.facts.want(t, event.Handled)
	})
}

// steal makes another delivery take the record over while the handler runs.
func steal(t *testing.T, r *rig) {
	t.Helper()
	r.store.fail("extend", func() error { return errStoreAway })
	pass(31 * time.Second)
	rec, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "thief", Lease: time.Hour})
	if err != nil || rec.Verdict != idempotency.Takeover {
		t.Errorf("the other claim: %+v, %v; want a takeover", rec, err)
	}
	r.store.fail("extend", nil)
}

func TestALostLeaseCancelsTheHandlerAndIsNoFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, err := r.deliver(t.Context(), func(m *message.Message) ([]*message.Message, error) {
			steal(t, r)
			<-m.Context().Done()
			if !errors.Is(context.Cause(m.Context()), idempotency.ErrLeaseLost) {
				t.Errorf("cause %v, want ErrLeaseLost", context.Cause(m.Context()))
			}
			return nil, m.Context().Err()
		})
		if !errors.Is(err, idempotency.ErrLeaseLost) || !failure.IsUnavailable(err) {
			t.Errorf("error %v, want ErrLeaseLost marked as unavailable", err)
		}
		r.facts.want(t, event.LeaseLost)
		rec, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "x", Lease: time.Hour})
		if err != nil || rec.Verdict != idempotency.Busy {
			t.Errorf("the record: %+v, %v; want it still with its new owner", rec, err)
		}
	})
}

func TestASuccessAfterALostLeaseMarksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, err := r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) {
			steal(t, r)
			return []*message.Message{message.NewMessage("stale", nil)}, nil
		})
		if !errors.Is(err, idempotency.ErrLeaseLost) || !failure.IsUnavailable(err) {
			t.Errorf("error %v, want ErrLeaseLost marked as unavailable", err)
		}
		must(t, r.store.Store.Complete(t.Context(), theKey, "thief", nil, time.Hour))
		r.facts.want(t, event.LeaseLost)
	})
}

func TestATakeoverRunsAgainAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "crashed", Lease: time.Second, Retention: time.Hour})
		must(t, err)
		pass(2 * time.Second)
		must(t, second(r.deliver(t.Context(), func(m *message.Message) ([]*message.Message, error) {
			if n, _ := idempotency.Fence(m.Context()); n != 2 {
				t.Errorf("fence %d, want 2", n)
			}
			return nil, nil
		})))
		r.ran(1)
		r.facts.want(t, event.Takeover, event.Handled)
	})
}

func TestAParkedTakeoverNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *idempotency.Config) { c.TakeoverPolicy = idempotency.Park })
		_, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "crashed", Lease: time.Second, Retention: time.Hour})
		must(t, err)
		pass(2 * time.Second)
		var doubt *idempotency.InDoubtError
		_, err = r.deliver(t.Context(), succeed)
		if !errors.As(err, &doubt) || !failure.IsPermanent(err) || doubt.Key != theKey || doubt.Attempt != 2 {
			t.Errorf("error %#v, want an InDoubtError of attempt 2, marked as permanent", err)
		}
		if _, err = r.deliver(t.Context(), succeed); !errors.Is(err, idempotency.ErrBusy) {
			t.Errorf("error of a redelivery: %v, want ErrBusy", err)
		}
		pass(time.Minute)
		if _, err = r.deliver(t.Context(), succeed); !errors.Is(err, idempotency.ErrInDoubt) {
			t.Errorf("error of a late redelivery: %v, want ErrInDoubt", err)
		}
		r.ran(0)
		pass(time.Minute)
		must(t, r.store.Store.Transition(t.Context(), theKey, idempotency.Transition{From: []idempotency.State{idempotency.Processing}, To: idempotency.Dead}))
	})
}

func TestWithoutItsStoreAMessageDoesNotRunAndSpendsNoAttempt(t *testing.T) {
	r := newRig(t, nil)
	r.store.fail("claim", func() error { return errors.New("no such table") })
	if _, err := r.deliver(t.Context(), succeed); !failure.IsUnavailable(err) {
		t.Errorf("error %v, want one marked as unavailable", err)
	}
	r.ran(0)
	if r.store.count("release") != 1 {
		t.Error("the claim, which may have been made, was not given up")
	}
}

func TestAMarkIsRepeatedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		began := time.Now()
		r.store.fail("complete", func() error {
			if time.Since(began) < 20*time.Second {
				return errStoreAway
			}
			return nil
		})
		must(t, second(r.deliver(t.Context(), succeed)))
		r.facts.want(t, event.Handled)
		must(t, second(r.deliver(t.Context(), succeed)))
		r.ran(1)
	})
}

func TestAnEffectThatCannotBeMarkedIsAckedWithItsOutputsWhenTheLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.store.fail("complete", func() error { return errStoreAway })
		began := time.Now()
		out, err := r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) {
			return []*message.Message{message.NewMessage("out", nil)}, nil
		})
		if err != nil || len(out) != 1 {
			t.Errorf("outputs %v, error %v; want one, none", out, err)
		}
		if took := time.Since(began); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("it was tried for %v, want the lease, 30s", took)
		}
		r.facts.want(t, event.Unmarked)
		if r.store.count("release") != 0 {
			t.Error("the record of an effect was released")
		}
	})
}

func TestParkedAndDeadMessagesAreAckedWithoutRunning(t *testing.T) {
	for _, state := range []idempotency.State{idempotency.Parked, idempotency.Dead} {
		r := newRig(t, nil)
		must(t, r.store.Store.Transition(t.Context(), theKey, idempotency.Transition{From: []idempotency.State{idempotency.Absent}, To: state}))
		out, err := r.deliver(t.Context(), succeed)
		if err != nil || out != nil {
			t.Errorf("%s: outputs %v, error %v", state, out, err)
		}
		r.ran(0)
		r.facts.want(t, event.Duplicate)
	}
}

func TestAnotherPayloadUnderTheKeyNeverRuns(t *testing.T) {
	r := newRig(t, func(c *idempotency.Config) { c.Fingerprint = idempotency.PayloadFingerprint })
	must(t, second(r.deliver(t.Context(), succeed)))
	msg := newMessage(t.Context())
	msg.Payload = message.Payload("other")
	_, err := r.mw(failing)(msg)
	var mismatch *idempotency.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Key != theKey || !failure.IsPermanent(err) || !errors.Is(err, idempotency.ErrMismatch) {
		t.Errorf("error %v, want a MismatchError marked as permanent", err)
	}
}

func TestAMessageWithoutAKeyNeverRuns(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.mw(succeed)(message.NewMessage("", nil))
	if !errors.Is(err, idempotency.ErrNoKey) || !failure.IsPermanent(err) {
		t.Errorf("error %v, want ErrNoKey marked as permanent", err)
	}
	mw, err := idempotency.New(memorystore.New(), idempotency.Config{})
	must(t, err)
	if _, err = mw(succeed)(message.NewMessage("x", nil)); !failure.IsPermanent(err) || !strings.Contains(err.Error(), "Handler") {
		t.Errorf("error %v without a handler's name, want one that names the field", err)
	}
}

func TestANilOutputIsAFailureThatReleasesTheRecord(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.deliver(t.Context(), func(*message.Message) ([]*message.Message, error) { return []*message.Message{nil}, nil })
	if !failure.IsPermanent(err) {
		t.Errorf("error %v, want a permanent one", err)
	}
	must(t, second(r.deliver(t.Context(), succeed)))
	r.ran(2)
}

func TestARecordOfAnotherVersionIsAPermanentFailure(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.store.Store.Claim(t.Context(), idempotency.Claim{Key: theKey, Token: "t", Lease: time.Hour})
	must(t, err)
	must(t, r.store.Store.Complete(t.Context(), theKey, "t", []byte{99}, time.Hour))
	if _, err := r.deliver(t.Context(), succeed); !failure.IsPermanent(err) || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("error %v", err)
	}
	r.ran(0)
}
