package circuit_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func states(c *circuit.Circuits) string {
	var all []string
	for _, s := range c.Snapshot() {
		all = append(all, fmt.Sprintf("%s/%s %s", s.Handler, s.Dependency, s.State))
	}
	return strings.Join(all, ", ")
}

func TestAFailureCountsForTheDependencyThatItNames(t *testing.T) {
	for name, fail := range map[string]func(*message.Message) error{
		"by the error": func(*message.Message) error {
			return failure.Unavailable(fmt.Errorf("charge: %w", circuit.Dependency(errBoom, "bank")))
		},
		"by its use, a time-out too": func(msg *message.Message) error {
			circuit.Uses(msg.Context(), "crm")
			circuit.Uses(msg.Context(), "bank")
			return failure.ErrTimeout
		},
		"by the error rather than by its use": func(msg *message.Message) error {
			circuit.Uses(msg.Context(), "crm")
			return circuit.Dependency(errBoom, "bank")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, circuit.Config{FirstPause: time.Minute}, fail)
				for i := range circuit.DefaultKeys {
					_ = r.deliver(strconv.Itoa(i))
				}
				if got := states(r.c); !strings.Contains(got, "shop/stock/ closed") || !strings.Contains(got, "shop/stock/bank open") ||
					strings.Contains(got, "crm open") {
					t.Fatal(got)
				}
				var open *circuit.OpenError
				if err := r.deliver("one more"); !errors.As(err, &open) || open.Dependency != "bank" || !strings.Contains(err.Error(), `dependency "bank"`) {
					t.Fatal(err)
				}
			})
		})
	}
}

func (r *rig) statusOf(name string) circuit.Status {
	r.t.Helper()
	for _, s := range r.c.Snapshot() {
		if s.Dependency == name {
			return s
		}
	}
	r.t.Fatalf("no circuit for %q: %s", name, states(r.c))
	return circuit.Status{}
}

func TestOnlyMessagesThatUseADependencyCloseItsCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := true
		r := newRig(t, circuit.Config{Successes: 1}, func(msg *message.Message) error {
			if strings.HasPrefix(msg.UUID, "other") {
				return nil
			}
			circuit.Uses(msg.Context(), "bank")
			if away {
				return errBoom
			}
			return nil
		})
		for i := range circuit.DefaultKeys {
			_ = r.deliver("other-" + strconv.Itoa(i)) // does not make bank's failures rarer
			_ = r.deliver("paid-" + strconv.Itoa(i))
		}
		if s := r.statusOf("bank"); s.State != circuit.Open {
			t.Fatalf("%+v", s)
		}
		after(2 * circuit.DefaultMaxPause)
		for i := range 10 {
			if err := r.deliver("other-later-" + strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
			if s := r.statusOf("bank"); s.State != circuit.HalfOpen {
				t.Fatalf("a message that does not use the bank: %+v", s)
			}
		}
		away = false
		if err := r.deliver("paid-later"); err != nil || r.statusOf("bank").State != circuit.Closed {
			t.Fatal(err, states(r.c))
		}
	})
}

func TestAMessageWaitsOnlyForTheDependenciesThatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{FirstPause: time.Minute, Dependencies: func(msg *message.Message) []string {
			return []string{strings.Split(msg.UUID, "-")[0]}
		}}
		r := newRig(t, cfg, func(msg *message.Message) error {
			if strings.HasPrefix(msg.UUID, "bank") {
				return circuit.Dependency(errBoom, "bank")
			}
			return nil
		})
		for i := range circuit.DefaultKeys {
			_ = r.deliver("crm-" + strconv.Itoa(i))
			_ = r.deliver("bank-" + strconv.Itoa(i))
		}
		start := time.Now()
		if err := r.deliver("crm-later"); err != nil || !time.Now().Equal(start) {
			t.Fatalf("%v after %s: %s", err, time.Since(start), states(r.c))
		}
		if err := r.deliver("bank-later"); !refused(err) {
			t.Fatal(err)
		}
	})
}

func TestNamesWithoutEndDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{}, func(msg *message.Message) error { return circuit.Dependency(errBoom, msg.UUID) })
		for i := range 1000 {
			_ = r.deliver(strconv.Itoa(i))
		}
		if n := len(r.c.Snapshot()); n != 257 {
			t.Fatalf("%d circuits", n)
		}
		if r.statusOf("").State == circuit.Closed {
			t.Fatal("what has no circuit of its own does not count for the handler's")
		}
	})
}

func TestTheMarkKeepsTheErrorAndTheMessage(t *testing.T) {
	err := circuit.Dependency(errBoom, "bank")
	if !errors.Is(err, errBoom) || err.Error() != "boom" || circuit.Dependency(nil, "bank") != nil {
		t.Fatal(err)
	}
	circuit.Uses(t.Context(), "bank") // not a message's context: nothing
}
