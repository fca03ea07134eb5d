package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/rule"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// absent is a publisher whose broker is away.
type absent struct{ asked chan struct{} }

func (a absent) Publish(string, ...*message.Message) error {
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return failure.Unavailable(errors.New("connection refused"))
}

func (absent) Close() error { return nil }

// gauges reads each rule's.
func gauges(t *testing.T, rules []rule.Rule) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, r := range rules {
		v, err := r.Gauge(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		out[r.Name] = v
	}
	return out
}

func TestTheRulesOfAStackMeasureWhatTheySay(t *testing.T) {
	db := openDB(t)
	var seen events
	s, err := sluicegate.New(db, sluicegate.Config{Observe: seen.observe, Park: sluicegate.ParkConfig{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	if err := s.Handle(r, "stock", "orders", b.Group("stock"), func(context.Context, *sql.Tx, *message.Message) error {
		return failure.Permanent(errors.New("no such SKU"))
	}); err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	away := absent{make(chan struct{}, 1)}
	relay, err := s.Outbox().NewRelay(away, forwarder.RelayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	rules := s.Rules(relay)
	if _, err := rule.New(noTarget{}, rules, rule.Config{}); err != nil {
		t.Fatal(err)
	}
	for name, v := range gauges(t, rules) {
		if v != 0 {
			t.Errorf("%s is %v before anything has happened", name, v)
		}
	}
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
		t.Fatal(err)
	}
	if err := s.Outbox().Publish(t.Context(), db, "orders", message.NewMessage("order-2", nil), message.NewMessage("order-3", nil)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	got := gauges(t, rules)
	for deadline := time.After(30 * time.Second); got[rule.NameBrokerDown] == 0; got = gauges(t, rules) {
		select {
		case <-away.asked: // an earlier answer may have been judged by now
		case <-deadline:
			t.Fatal("the broker is not said to be away")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float64{
		rule.NameOutboxBacklog: 2, rule.NameDeadLettersGrow: 1, rule.NameBrokerDown: 1, rule.NameDatabaseDown: 0,
		rule.NameCircuitOpen: 0, rule.NameLeaseLost: 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got[rule.NameOutboxLag] <= 0 {
		t.Errorf("the lag is %v s", got[rule.NameOutboxLag])
	}
}

type noTarget struct{}

func (noTarget) Emit(alert.Alert)    {}
func (noTarget) Resolve(alert.Alert) {}

func TestAStackHasRulesForWhatItHas(t *testing.T) {
	names := func(db *sql.DB, cfg sluicegate.Config) (out []string) {
		t.Helper()
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Rules() {
			out = append(out, r.Name)
		}
		return out
	}
	if got := names(nil, sluicegate.Config{Store: memorystore.New(), DeadLetters: noLetters{}}); !slices.Equal(got, []string{rule.NameCircuitOpen, rule.NameLeaseLost}) {
		t.Errorf("without a database: %v", got)
	}
	cfg := sluicegate.Config{}
	cfg.Circuit.Off = true
	if got := names(openDB(t), cfg); !slices.Equal(got, []string{rule.NameOutboxLag, rule.NameOutboxBacklog, rule.NameDeadLettersGrow, rule.NameLeaseLost}) {
		t.Errorf("without circuits: %v", got)
	}
}

func TestTablesThatStacksShareAreMeasuredOnce(t *testing.T) {
	db := openDB(t)
	other := sluicegate.Config{Prefix: "other_"}
	if err := sluicegate.Migrate(t.Context(), db, other); err != nil {
		t.Fatal(err)
	}
	var stacks []*sluicegate.Stack
	for _, cfg := range []sluicegate.Config{{Consumer: "stock"}, {Consumer: "points"}, other} {
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Outbox().Publish(t.Context(), db, "orders", message.NewMessage("order-1", nil)); err != nil {
			t.Fatal(err)
		}
		stacks = append(stacks, s)
	}
	rules := sluicegate.Rules(stacks)
	if _, err := rule.New(noTarget{}, rules, rule.Config{}); err != nil {
		t.Fatal(err)
	}
	if n := gauges(t, rules)[rule.NameOutboxBacklog]; n != 3 {
		t.Errorf("%v messages wait, want the 2 of one table and the 1 of the other", n)
	}
}
