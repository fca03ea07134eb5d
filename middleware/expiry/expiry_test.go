package expiry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/expiry"
)

var (
	noon    = time.Date(2031, 5, 6, 12, 0, 0, 0, time.UTC)
	errBoom = errors.New("boom")
)

// handle passes a message with this expiry through the middleware at noon.
func handle(t *testing.T, expires string) (ran bool, out []*message.Message, facts []event.Event, err error) {
	t.Helper()
	mw, err := expiry.New(expiry.Config{
		Now:     func() time.Time { return noon },
		Observe: func(e expiry.Event) { facts = append(facts, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := delivery.With(context.Background(), &delivery.Delivery{Consumer: "shop", Handler: "stock", Topic: "orders"})
	msg := message.NewMessageWithContext(ctx, "1", nil)
	if expires != "" {
		msg.Metadata.Set(header.ExpiresAt, expires)
	}
	out, err = mw(func(*message.Message) ([]*message.Message, error) {
		ran = true
		return []*message.Message{msg}, errBoom
	})(msg)
	if msg.Context() != ctx {
		t.Error("the message's context was not restored")
	}
	return ran, out, facts, err
}

func TestAnExpiredMessageIsAckedWithoutRunning(t *testing.T) {
	for _, at := range []time.Time{noon, noon.Add(-time.Hour)} {
		ran, out, facts, err := handle(t, header.FormatTime(at))
		if ran || len(out) != 0 || err != nil {
			t.Errorf("at %v: ran %v, %d outputs, %v", at, ran, len(out), err)
		}
		want := event.Event{Kind: event.Expired, Handler: "shop/stock", Topic: "orders", MessageID: "1"}
		if len(facts) != 1 || facts[0] != want {
			t.Errorf("events %+v, want %+v", facts, want)
		}
	}
}

func TestEveryOtherMessagePassesAsItIs(t *testing.T) {
	for _, at := range []string{"", header.FormatTime(noon.Add(1)), "yesterday"} {
		ran, out, facts, err := handle(t, at)
		if !ran || len(out) != 1 || err != errBoom || len(facts) != 0 { //nolint:errorlint // as it is
			t.Errorf("%q: ran %v, %d outputs, %v, events %+v", at, ran, len(out), err, facts)
		}
	}
}

func TestTheClockIsTheProcesssOwnByDefault(t *testing.T) {
	mw, err := expiry.New(expiry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	h := mw(func(*message.Message) ([]*message.Message, error) { ran++; return nil, nil })
	for _, at := range []time.Time{time.Now().Add(-time.Second), time.Now().Add(time.Hour)} {
		msg := message.NewMessage("1", nil)
		msg.Metadata.Set(header.ExpiresAt, header.FormatTime(at))
		if _, err := h(msg); err != nil {
			t.Fatal(err)
		}
	}
	if ran != 1 {
		t.Errorf("ran %d times, want once", ran)
	}
}

func TestARouterAcksAnExpiredMessage(t *testing.T) {
	mw, err := expiry.New(expiry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := routertest.Start(t, mw(func(*message.Message) ([]*message.Message, error) { return nil, errBoom }))
	msg := message.NewMessage("1", nil)
	msg.Metadata.Set(header.ExpiresAt, header.FormatTime(time.Unix(1, 0)))
	r.Deliver(msg)
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
		t.Error("it was nacked")
	}
}
