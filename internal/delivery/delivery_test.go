package delivery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/routertest"
)

func TestANilDeliveryTakesEverything(t *testing.T) {
	d := delivery.From(context.Background())
	d.SetKey("k")
	d.Begin(1)
	d.Add(1, time.Now(), 0, nil)
	d.Replay()
	d.Resume(3)
	d.OnOutgoing(nil)
	d.Outgoing(message.NewMessage("1", nil))
	if d != nil || d.Key() != "" || d.Attempt() != 0 || d.Attempts() != nil || d.Replayed() || d.Scope() != "" {
		t.Fatal("a nil delivery must know nothing")
	}
	if base, ok := d.Resumed(); ok || base != 0 {
		t.Fatal("a nil delivery must know nothing")
	}
	if n := delivery.Attempt(context.Background()); n != 0 {
		t.Fatalf("attempt %d on a context without a delivery", n)
	}
}

func TestADeliveryByATaskKnowsTheAttemptsBefore(t *testing.T) {
	d := &delivery.Delivery{}
	if base, ok := d.Resumed(); ok || base != 0 {
		t.Fatalf("an ordinary one: %d, %v", base, ok)
	}
	for given, want := range map[int]int{0: 0, 3: 3, -1: 0} {
		d.Resume(given)
		if base, ok := d.Resumed(); !ok || base != want {
			t.Errorf("after %d attempts: %d, %v", given, base, ok)
		}
	}
}

func TestEnsureTakesWatermillsNamesAndIsTakenOffAgain(t *testing.T) {
	r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
		before := msg.Context()
		d, undo := delivery.Ensure(msg)
		if d.Handler != routertest.Handler || d.Topic != routertest.Topic || d.Scope() != routertest.Handler {
			t.Errorf("names: %q, %q", d.Handler, d.Topic)
		}
		if again, undoInner := delivery.Ensure(msg); again != d {
			t.Error("an inner layer must find the same delivery")
		} else {
			undoInner()
		}
		if delivery.From(msg.Context()) != d {
			t.Error("an inner layer took the delivery of an outer one off")
		}
		undo()
		if msg.Context() != before {
			t.Error("the context must be the former one")
		}
		return nil, nil
	})
	r.Deliver(message.NewMessage("1", nil))
}

func TestAnAttemptsErrorIsShortenedBetweenRunes(t *testing.T) {
	d := &delivery.Delivery{Consumer: "shop", Handler: "stock"}
	d.Begin(2)
	d.Add(2, time.Now(), time.Second, errors.New(strings.Repeat("错", 4000)))
	a := d.Attempts()[0]
	if len(a.Err) > delivery.MaxErr || !utf8.ValidString(a.Err) || a.Number != 2 || a.Duration != time.Second {
		t.Fatalf("%+v", a)
	}
	if d.Scope() != "shop/stock" || delivery.Attempt(delivery.With(context.Background(), d)) != 2 {
		t.Fatal("scope or attempt wrong")
	}
}
