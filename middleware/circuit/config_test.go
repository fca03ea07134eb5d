package circuit_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func TestWhatMakesNoSenseIsRefusedByName(t *testing.T) {
	_, err := circuit.New(circuit.Config{
		Keys: 1, Ratio: math.NaN(), Window: -1, MaxWait: -1, FirstPause: -1, MaxPause: -1, Probes: -1, Successes: -1,
	})
	for _, name := range []string{"Keys", "Ratio", "Window", "MaxWait", "FirstPause", "MaxPause", "Probes", "Successes"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+name+":") {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	for _, cfg := range []circuit.Config{{Ratio: 1.1}, {Ratio: -1}, {Keys: -1}, {Keys: circuit.MaxKeys + 1}, {FirstPause: time.Minute, MaxPause: time.Second}} {
		if _, err := circuit.New(cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
	if _, err := circuit.New(circuit.Config{FirstPause: time.Hour}); err != nil {
		t.Error(err) // MaxPause follows
	}
}

type alerts struct {
	mu   sync.Mutex
	got  []alert.Alert
	over []alert.Alert
}

func (a *alerts) Resolve(v alert.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = append(a.over, v)
}

func (a *alerts) Emit(v alert.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, v)
}

func TestOpeningAndClosingAreToldOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			told   []event.Event
			states []circuit.Status
			a      alerts
		)
		away := true
		cfg := circuit.Config{
			Successes: 1, Alerts: &a,
			Observe:  func(e circuit.Event) { told = append(told, e) },
			OnChange: func(s circuit.Status) { states = append(states, s) },
		}
		r := newRig(t, cfg, func(*message.Message) error {
			if away {
				return circuit.Dependency(errBoom, "bank")
			}
			return nil
		})
		start := time.Now()
		for i := range 10 {
			_ = r.deliver(string(rune('a' + i))) // the later ones are probes
		}
		away = false
		for r.deliver("good") != nil {
		}
		var kinds []event.Kind
		for _, e := range told {
			kinds = append(kinds, e.Kind)
			if e.Handler != "shop/stock" || e.Dependency != "bank" || errors.Is(e.Err, errBoom) != (e.Kind == event.CircuitOpened) {
				t.Errorf("told %+v", e)
			}
		}
		if !slices.Equal(kinds, []event.Kind{event.CircuitOpened, event.CircuitClosed}) {
			t.Fatalf("told %v", kinds)
		}
		if len(states) != 2 || states[0].State != circuit.Open || states[0].Reason != "boom" || states[1].State != circuit.Closed || states[1].Opened != 1 {
			t.Errorf("states %+v", states)
		}
		probes := 0
		for _, uuid := range r.order() {
			if uuid > "e" && uuid != "good" { // the sixth and those behind it
				probes++
			}
		}
		if len(a.got) != 1+probes || probes == 0 || len(a.over) != 1 {
			t.Fatalf("%d probes failed; %d alerts: %+v; over: %+v", probes, len(a.got), a.got, a.over)
		}
		for _, got := range append(a.got, a.over...) {
			if got.Name != circuit.NameOpen || got.Severity != alert.Critical || !got.Condition || got.Handler != "shop/stock" ||
				got.Labels["dependency"] != "bank" || got.Reason != "boom" || got.Fingerprint() != a.got[0].Fingerprint() {
				t.Errorf("alert %+v", got)
			}
		}
		if !a.got[0].At.Equal(start) || !a.over[0].At.IsZero() {
			t.Errorf("opened at %s, alert of %s, over at %s", start, a.got[0].At, a.over[0].At)
		}
	})
}

func TestTheSnapshotIsReadableAsJSONAndSorted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{}, func(msg *message.Message) error {
			if msg.UUID == "1" {
				return circuit.Dependency(errBoom, "bank")
			}
			return errBoom
		})
		_ = r.deliver("1")
		_ = r.deliver("2")
		got, err := json.Marshal(r.c.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		const want = `[{"handler":"shop/stock","state":"closed","failing_keys":1,"waiting":0,"probes":0,"successes":0,"opened":0,"reason":"boom"},` +
			`{"handler":"shop/stock","dependency":"bank","state":"closed","failing_keys":1,"waiting":0,"probes":0,"successes":0,"opened":0,"reason":"boom"}]`
		if string(got) != want {
			t.Errorf("%s", got)
		}
	})
}
