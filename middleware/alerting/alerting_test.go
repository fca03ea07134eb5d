package alerting_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/alerting"
)

var _ alert.Emitter = (*alert.Notifier)(nil)

type emitter []alert.Alert

func (e *emitter) Emit(a alert.Alert) { *e = append(*e, a) }

var errBoom = errors.New("boom")

func TestAnErrorThatGetsPastIsToldAndPassedOn(t *testing.T) {
	var told emitter
	m, err := alerting.New(&told, alerting.Config{Labels: map[string]string{"env": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	msg := message.NewMessage("1", nil)
	msg.SetContext(delivery.With(t.Context(), &delivery.Delivery{Consumer: "shop", Handler: "stock", Topic: "orders"}))
	_, err = m(func(msg *message.Message) ([]*message.Message, error) {
		delivery.From(msg.Context()).SetKey("order-1")
		return nil, errBoom
	})(msg)
	if err != errBoom || len(told) != 1 { //nolint:errorlint // as it is
		t.Fatalf("%v, told %+v", err, told)
	}
	a := told[0]
	if a.Name != alerting.NameFailed || a.Severity != alert.Warning || a.Handler != "shop/stock" || a.Topic != "orders" ||
		a.Key != "order-1" || a.Reason != "boom" || a.Labels["env"] != "test" || a.Summary == "" {
		t.Fatalf("%+v", a)
	}
}

func TestShutdownAbsenceAndSuccessAreNoAlert(t *testing.T) {
	var told emitter
	m, err := alerting.New(&told, alerting.Config{})
	if err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	check := func(ctx context.Context, name string, want error) {
		_, err := m(func(*message.Message) ([]*message.Message, error) { return nil, want })(message.NewMessageWithContext(ctx, "1", nil))
		if !errors.Is(err, want) || len(told) != 0 {
			t.Errorf("%s: %v, told %v", name, err, told)
		}
	}
	check(done, "shutdown", errBoom)
	check(t.Context(), "absence", failure.Unavailable(errBoom))
	check(t.Context(), "success", nil)
	// The handler's own cancelled context is a failure.
	_, _ = m(func(*message.Message) ([]*message.Message, error) { return nil, context.Canceled })(message.NewMessage("1", nil))
	if len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

func TestTheObserverTellsDeadLettersAndNothingElse(t *testing.T) {
	var told emitter
	observe, err := alerting.Observe(&told, alerting.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []event.Kind{event.Retried, event.Duplicate, event.Busy, event.Returned, event.Handled, event.Republished} {
		observe(alerting.Event{Kind: k, Err: errBoom})
	}
	if len(told) != 0 {
		t.Fatalf("%+v", told)
	}
	observe(alerting.Event{Kind: event.DeadLettered, Handler: "shop/stock", Topic: "orders", Key: "k", MessageID: "1", Err: errors.New(strings.Repeat("错", 1000))})
	if len(told) != 1 || told[0].Name != alerting.NameDeadLetter || told[0].Handler != "shop/stock" || told[0].Key != "k" || len(told[0].Reason) > 512 {
		t.Fatalf("%+v", told)
	}
	observe(alerting.Event{Kind: event.DeadLettered, Handler: "shop/stock", Topic: "orders", Key: "other", MessageID: "2"})
	if told[0].Fingerprint() != told[1].Fingerprint() {
		t.Fatal("two messages of one handler must have one fingerprint")
	}
}

func TestItWorksAloneOnAPlainRouter(t *testing.T) {
	var told emitter
	m, err := alerting.New(&told, alerting.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
		if msg.UUID == "bad" {
			return nil, errBoom
		}
		return nil, nil
	}, m)
	if got := r.Deliver(message.NewMessage("bad", nil)); got != routertest.Nacked {
		t.Error(got)
	}
	if got := r.Deliver(message.NewMessage("good", nil)); got != routertest.Acked {
		t.Error(got)
	}
	if len(told) != 1 || told[0].Handler != routertest.Handler || told[0].Topic != routertest.Topic {
		t.Fatalf("%+v", told)
	}
}

func TestInvalidValuesAreReportedTogether(t *testing.T) {
	_, errNew := alerting.New(nil, alerting.Config{Severity: "urgent"})
	_, errObserve := alerting.Observe(nil, alerting.Config{Severity: "urgent"})
	for _, err := range []error{errNew, errObserve} {
		if err == nil || !strings.Contains(err.Error(), "emitter") || !strings.Contains(err.Error(), "Config.Severity") {
			t.Error(err)
		}
	}
}
