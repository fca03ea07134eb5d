package circuit_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func TestAnOpenCircuitKeepsMessagesFromRunningAndGivesThemBackUnspent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{FirstPause: time.Minute, MaxWait: 4 * time.Second}
		r := newRig(t, cfg, func(*message.Message) error { return nil })
		r.open(cfg)
		start := time.Now()
		err := r.deliver("1")
		if took := time.Since(start); took != 4*time.Second || !refused(err) || r.calls.Load() != 0 {
			t.Fatalf("%v after %s, %d calls", err, took, r.calls.Load())
		}
		var open *circuit.OpenError
		if !errors.As(err, &open) || open.Handler != "shop/stock" || !open.Since.Equal(start) || !open.Next.After(start.Add(30*time.Second-1)) {
			t.Fatalf("%+v", open)
		}
		if d, ok := failure.Delay(err); !ok || d < time.Until(open.Next) {
			t.Errorf("asks for a delay of %s; the next probe is due in %s", d, time.Until(open.Next))
		}
		if !strings.Contains(err.Error(), `circuit is open: handler "shop/stock", since 20`) {
			t.Error(err)
		}
	})
}

func TestAWaitEndsWithTheMessagesContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{FirstPause: time.Minute}
		r := newRig(t, cfg, func(*message.Message) error { return nil })
		r.open(cfg)
		cause := errors.New("shutdown")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		err := r.deliverOn(ctx, "1")
		if time.Since(start) != time.Second || !refused(err) || !errors.Is(err, cause) || r.calls.Load() != 0 {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		if n := r.status().Waiting; n != 0 {
			t.Errorf("%d are said to wait", n)
		}
	})
}

func TestAfterEnoughSuccessesAllThatWaitGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 3, MaxWait: time.Hour}
		running, most := 0, 0
		r := newRig(t, cfg, nil)
		r.do = func(*message.Message) error { return nil }
		r.open(cfg)
		r.do = func(*message.Message) error {
			r.mu.Lock()
			running++
			if n := len(r.called); n <= 3 {
				most = max(most, running)
			}
			r.mu.Unlock()
			after(time.Second)
			r.mu.Lock()
			running--
			r.mu.Unlock()
			return nil
		}
		done := make(chan error, 100)
		start := time.Now()
		for i := range 100 {
			go func() { done <- r.deliver(strconv.Itoa(i)) }()
		}
		synctest.Wait()
		if s := r.status(); s.Waiting != 100 || s.State != circuit.Open {
			t.Fatalf("%+v", s)
		}
		for range 100 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 5*time.Second || most != 1 {
			t.Errorf("took %s, with up to %d probes at a time", took, most)
		}
		r.want(circuit.Closed)
		if s := r.status(); s.Opened != 1 || !s.Since.IsZero() || !s.Next.IsZero() || s.Failing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTheNextProbeIsAnotherMessageThanTheOneThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{MaxWait: time.Hour}
		r := newRig(t, cfg, func(msg *message.Message) error {
			if strings.HasPrefix(msg.UUID, "poison") {
				return errBoom
			}
			return nil
		})
		r.open(cfg)
		done := make(chan error, 10)
		send := func(uuid string) {
			go func() {
				err := r.deliver(uuid)
				for err != nil && uuid != "once" {
					err = r.deliver(uuid) // as a retry does
					if err != nil && !refused(err) {
						break
					}
				}
				done <- err
			}()
			synctest.Wait()
		}
		send("poison") // the first in the line
		for i := range 4 {
			send("good-" + strconv.Itoa(i))
		}
		for range 5 {
			<-done
		}
		got := r.order()
		if want := []string{"poison", "good-0", "good-1", "good-2"}; !slices.Equal(got[:4], want) {
			t.Errorf("probes were %v, want %v", got, want)
		}
		r.want(circuit.Closed)
	})
}

func TestWhereNoOtherMessageComesTheOneThatFailedProbesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 1}
		away := true
		r := newRig(t, cfg, func(*message.Message) error {
			if away {
				return errBoom
			}
			return nil
		})
		r.open(cfg)
		ended := time.Now().Add(10 * time.Minute)
		var err error
		for range 1000 {
			away = time.Now().Before(ended)
			if err = r.deliver("only"); err == nil {
				break
			}
		}
		if late := time.Since(ended); err != nil || late > 2*circuit.DefaultMaxPause {
			t.Fatalf("%v; it ran %s after the end of the outage", err, late)
		}
		if n := r.calls.Load(); n > 25 {
			t.Errorf("%d calls in ten minutes", n)
		}
		r.want(circuit.Closed)
	})
}

func TestPausesDoubleUpToTheirCapAndHalfOfEachIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		varied := map[time.Duration]bool{}
		for range 20 {
			cfg := circuit.Config{FirstPause: 2 * time.Second, MaxPause: 20 * time.Second, MaxWait: time.Hour}
			r := newRig(t, cfg, func(*message.Message) error { return errBoom })
			last := time.Now()
			r.open(cfg)
			for i, bound := range []time.Duration{2, 4, 8, 16, 20, 20} {
				if err := r.deliver(strconv.Itoa(i)); !errors.Is(err, errBoom) {
					t.Fatal(err)
				}
				pause := time.Since(last)
				last = time.Now()
				varied[pause] = true
				if bound *= time.Second; pause < bound/2 || pause > bound {
					t.Errorf("pause %d took %s, want %s at most and half of it at least", i+1, pause, bound)
				}
			}
		}
		if len(varied) < 100 {
			t.Errorf("only %d different pauses of 120", len(varied))
		}
	})
}

func TestWhatSaysNothingMakesRoomForTheNextProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 1}
		r := newRig(t, cfg, func(msg *message.Message) error {
			switch msg.UUID {
			case "duplicate":
				delivery.From(msg.Context()).Replay()
				return nil
			case "hopeless":
				return failure.Permanent(errBoom)
			}
			return nil
		})
		r.open(cfg)
		if err := r.deliver("duplicate"); err != nil {
			t.Fatal(err)
		}
		if s := r.status(); s.State != circuit.HalfOpen || s.Successes != 0 {
			t.Fatalf("after a duplicate, which did not run: %+v", s)
		}
		start := time.Now()
		if err := r.deliver("hopeless"); !failure.IsPermanent(err) || !time.Now().Equal(start) {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		r.want(circuit.HalfOpen)
		if err := r.deliver("good"); err != nil || !time.Now().Equal(start) {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		r.want(circuit.Closed)
	})
}

func TestAProbeThatHangsDoesNotKeepTheGateShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 1, MaxWait: time.Hour}
		release := make(chan struct{})
		r := newRig(t, cfg, func(msg *message.Message) error {
			if msg.UUID == "hangs" {
				<-release
				return errBoom
			}
			return nil
		})
		r.open(cfg)
		hung := make(chan error)
		go func() { hung <- r.deliver("hangs") }()
		after(2 * time.Second)
		start := time.Now()
		if err := r.deliver("good"); err != nil || time.Since(start) > circuit.DefaultMaxPause {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
		r.want(circuit.Closed)
		close(release)
		<-hung // it counts as one failure of a closed circuit
		r.want(circuit.Closed)
		if n := r.status().Failing; n > 1 {
			t.Errorf("%d keys fail", n)
		}
	})
}

func TestAPanicCountsAndGivesItsProbeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{Successes: 1}, func(*message.Message) error { panic("boom") })
		for i := range circuit.DefaultKeys + 1 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic did not pass through")
					}
				}()
				_ = r.deliver(strconv.Itoa(i))
			}()
		}
		r.want(circuit.Open) // again, after a probe that panicked
		r.do = func(*message.Message) error { return nil }
		if err := r.deliver("good"); err != nil {
			t.Fatal(err)
		}
		r.want(circuit.Closed)
	})
}

func TestMessagesThatWereUnderWayWhenItOpenedDoNotCloseIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 1, FirstPause: time.Minute}
		r := newRig(t, cfg, func(*message.Message) error { after(10 * time.Second); return nil })
		done := make(chan error, 3)
		for i := range 3 {
			go func() { done <- r.deliver("slow-" + strconv.Itoa(i)) }()
		}
		synctest.Wait()
		r.open(cfg)
		for range 3 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		r.want(circuit.Open)
	})
}
