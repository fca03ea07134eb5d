package circuit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func TestAMessageWhoseProbeFailedLetsThoseBehindItGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{Successes: 2, MaxWait: time.Hour}
		r := newRig(t, cfg, func(msg *message.Message) error {
			if msg.UUID == "poison" {
				return errBoom
			}
			return nil
		})
		r.open(cfg)
		if err := r.deliver("poison"); !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
		done := make(chan error, 3)
		for _, uuid := range []string{"poison", "good-1", "good-2"} {
			go func() { done <- r.deliver(uuid) }()
			synctest.Wait() // so that poison is first in the line
		}
		for range 3 {
			<-done
		}
		if got, want := r.order(), []string{"poison", "good-1", "good-2", "poison"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestAProbeThatIsCutOffAsItIsChosenGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := 0
		for range 200 {
			cfg := circuit.Config{Successes: 1, MaxWait: time.Hour, Counts: func(err error) bool { return errors.Is(err, errBoom) }}
			r := newRig(t, cfg, func(*message.Message) error { return nil })
			r.open(cfg)
			ctx, cancel := context.WithCancel(t.Context())
			r.do = func(*message.Message) error {
				after(time.Second)
				cancel() // wakes the second, which is chosen before it has come to act on it
				return errors.New("says nothing")
			}
			first, second := make(chan error, 1), make(chan error, 1)
			go func() { first <- r.deliver("first") }()
			after(circuit.DefaultFirstPause)
			go func() { second <- r.deliverOn(ctx, "second") }()
			<-first
			err := <-second
			r.do = func(*message.Message) error { return nil }
			if !errors.Is(err, circuit.ErrOpen) {
				continue
			}
			cut++
			start := time.Now()
			if err := r.deliver("good"); err != nil || !time.Now().Equal(start) {
				t.Fatalf("%v after %s", err, time.Since(start))
			}
		}
		if cut == 0 {
			t.Error("none was cut off")
		}
	})
}

func TestAFailureOfOneDependencySaysNothingAboutAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{}, func(msg *message.Message) error {
			return circuit.Dependency(errBoom, strings.Split(msg.UUID, "-")[0])
		})
		for _, uuid := range []string{"bank-1", "bank-2", "bank-3", "bank-4", "bank-5"} {
			_ = r.deliver(uuid)
		}
		if err := r.deliver("crm-1"); !errors.Is(err, errBoom) { // bank's probe
			t.Fatal(err)
		}
		if s := r.statusOf("bank"); s.State != circuit.HalfOpen || s.Probes != 1 || s.Next.After(time.Now()) {
			t.Fatalf("%+v", s)
		}
		_ = r.deliver("bank-6")
		if s := r.statusOf("bank"); s.State != circuit.Open || s.Probes != 2 {
			t.Fatalf("%+v", s)
		}
	})
}
