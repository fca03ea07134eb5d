package rule_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/rule"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ rule.Target = (*alert.Notifier)(nil)

// target notes changes: what it is told again says nothing new.
type target struct {
	mu      sync.Mutex
	firing  map[string]bool
	changes []string
	last    alert.Alert
	begun   time.Time
}

func newTarget() *target { return &target{firing: map[string]bool{}, begun: time.Now()} }

func (g *target) set(a alert.Alert, firing bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.firing[a.Name] != firing {
		g.changes = append(g.changes, fmt.Sprintf("%s %v at %s", a.Name, firing, time.Since(g.begun)))
	}
	g.firing[a.Name] = firing
	if firing {
		g.last = a
	}
}

func (g *target) Emit(a alert.Alert)    { g.set(a, true) }
func (g *target) Resolve(a alert.Alert) { g.set(a, false) }

func (g *target) want(t *testing.T, want ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if fmt.Sprint(g.changes) != fmt.Sprint(want) {
		t.Fatalf("%q, want %q", g.changes, want)
	}
}

// values is a gauge of one value for each 15 s; the last stays.
func values(list ...float64) rule.Gauge {
	return func(context.Context) (float64, error) {
		v := list[0]
		if len(list) > 1 {
			list = list[1:]
		}
		if v == broken {
			return 0, errors.New("no value")
		}
		return v, nil
	}
}

const broken = -1

func watch(t *testing.T, g *target, d time.Duration, cfg rule.Config, rules ...rule.Rule) {
	t.Helper()
	e, err := rule.New(g, rules, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	if err := backoff.Wait(ctx, d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if err := e.Run(ctx); !errors.Is(err, rule.ErrRunning) {
		t.Errorf("a second Run: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestItFiresAfterForAndIsResolvedAtTheLowWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		watch(t, g, 5*time.Minute, rule.Config{}, rule.Rule{
			Name: "lag", Unit: "s", High: 60, Low: 10, For: 30 * time.Second, Clear: 15 * time.Second,
			//            0   15  30  45  60  75  90  105 120 135 150 165 180
			Gauge: values(70, 70, 50, 60, 70, 80, 59, 11, 60, 10, 11, 10, 5),
		})
		g.want(t, "lag true at 1m15s", "lag false at 3m0s")
		if !strings.Contains(g.last.Reason, "the limit is 60 s") || !g.last.Condition {
			t.Fatalf("%+v", g.last)
		}
	})
}

func TestGrowthIsWhatCameWithinTheTimeAndAResetIsNoFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		watch(t, g, 5*time.Minute, rule.Config{}, rule.Rule{
			Name: "letters", High: 10, Growth: 90 * time.Second,
			//            0     15    30    45    60    75    90  105 120 135 …
			Gauge: values(1000, 1000, 1005, 1005, 1006, 1009, 1, 1, 1, 1, 1, 1),
		})
		// 9 more by 75 s, and one more after the reset.
		g.want(t, "letters true at 1m30s", "letters false at 3m0s")
	})
}

// What has grown without end once would never be a number again.
func TestAnInfiniteValueDoesNotEndTheGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		watch(t, g, 5*time.Minute, rule.Config{}, rule.Rule{
			Name: "letters", High: 10, Growth: 90 * time.Second,
			Gauge: values(1000, math.Inf(1), 1000, 1000, 1010),
		})
		g.want(t, "letters true at 1m0s", "letters false at 2m30s")
	})
}

func TestAGaugeThatFailsChangesNothingAndIsToldOfInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		watch(t, g, 5*time.Minute, rule.Config{Patience: 3}, rule.Rule{
			Name: "open", High: 1, Gauge: values(1, broken, broken, 1, math.NaN(), broken, broken, broken, 1, 0),
		})
		g.want(t, "open true at 0s", rule.NameGaugeFailed+" true at 1m30s", rule.NameGaugeFailed+" false at 2m0s", "open false at 2m15s")
	})
}

func TestOneGaugeThatHangsOrPanicsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		watch(t, g, time.Minute, rule.Config{},
			rule.Rule{Name: "hangs", High: 1, Gauge: func(ctx context.Context) (float64, error) { <-ctx.Done(); return 0, ctx.Err() }},
			rule.Rule{Name: "panics", High: 1, Gauge: func(context.Context) (float64, error) { panic("bad gauge") }},
			rule.Rule{Name: "good", High: 1, Gauge: values(0, 0, 1)},
		)
		g.want(t, "good true at 30s", rule.NameGaugeFailed+" true at 1m0s")
	})
}

func TestWhatAnEarlierProcessSaidIsResolvedWhereItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		g.firing["open"] = true
		watch(t, g, time.Minute, rule.Config{}, rule.Rule{Name: "open", High: 1, Gauge: values(0)})
		g.want(t, "open false at 0s")
	})
}

func TestTheReadyMadeRulesAreValidAndFire(t *testing.T) {
	ready := []func(rule.Gauge) rule.Rule{
		rule.OutboxLag, rule.OutboxBacklog, rule.DeadLettersGrow, rule.CircuitOpen, rule.LeaseLost, rule.RetryCapReached,
		rule.PoisonMessage, rule.ReconciliationMismatch, rule.UploadExhausted, rule.NotificationExhausted, rule.BrokerDown, rule.DatabaseDown,
	}
	synctest.Test(t, func(t *testing.T) {
		g := newTarget()
		var rules []rule.Rule
		for _, f := range ready {
			r := f(values(0, 0, 100_000))
			if r.Summary == "" {
				t.Errorf("%s says nothing to people", r.Name)
			}
			rules = append(rules, r)
		}
		watch(t, g, 10*time.Minute, rule.Config{}, rules...)
		if len(g.firing) < len(ready) {
			t.Fatalf("%q", g.changes)
		}
		for _, r := range rules {
			if !strings.Contains(strings.Join(g.changes, ","), r.Name+" true") {
				t.Errorf("%s did not fire", r.Name)
			}
		}
	})
	if _, err := alert.New(nobody{}, alert.Config{Inhibitions: rule.Inhibitions()}); err != nil {
		t.Error(err)
	}
}

type nobody struct{}

func (nobody) Send(context.Context, alert.Notification) error { return nil }

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	good := rule.Rule{Name: "good", Gauge: values(0)}
	_, err := rule.New(nil, []rule.Rule{
		{High: math.NaN(), Low: math.Inf(1), For: -1, Clear: -1, Growth: -1, Severity: "urgent"},
		{Name: "x", Gauge: values(0), High: 1, Low: 2},
		{Name: "y", Gauge: values(0), Growth: time.Minute},
		good, good,
	}, rule.Config{Every: -1, Timeout: -1, Patience: -1})
	for _, field := range []string{
		"target", "Config.Every", "Config.Timeout", "Config.Patience", "rules[0].Name", "rules[0].Severity", "rules[0].Gauge", "rules[0].High",
		"rules[0].Low", "rules[0].For", "rules[0].Clear", "rules[0].Growth", "rules[1].Low", "rules[2].High", "rules[4]:",
	} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
