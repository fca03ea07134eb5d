package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

var errCause = errors.New("cause")

type name struct{}

// looks are the ways to find out that a context has ended, before anybody has
// looked at it and after.
var looks = map[string]func(context.Context){
	"never looked at": func(context.Context) {},
	"asked for Done":  func(ctx context.Context) { _ = ctx.Done() },
	"asked for Err":   func(ctx context.Context) { _ = ctx.Err() },
	"has a child": func(ctx context.Context) {
		_, cancel := context.WithCancel(ctx)
		defer cancel()
	},
}

func eachLook(t *testing.T, test func(t *testing.T, look func(context.Context))) {
	t.Helper()
	for name, look := range looks {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, look) }) })
	}
}

func TestACancelledContextHasEndedWithItsCauseWhoeverLookedBefore(t *testing.T) {
	eachLook(t, func(t *testing.T, look func(context.Context)) {
		c := delivery.WithCancel(t.Context(), name{}, 7)
		look(c)
		if c.Err() != nil || c.Value(name{}) != 7 {
			t.Fatalf("before: %v, %v", c.Err(), c.Value(name{}))
		}
		c.Cancel(errCause)
		c.Cancel(errors.New("later"))
		<-c.Done()
		if !errors.Is(c.Err(), context.Canceled) || !errors.Is(context.Cause(c), errCause) {
			t.Fatalf("after: %v, %v", c.Err(), context.Cause(c))
		}
	})
}

func TestAContextEndsWithItsParentAndItsChildrenWithIt(t *testing.T) {
	eachLook(t, func(t *testing.T, look func(context.Context)) {
		parent, cancel := context.WithCancelCause(t.Context())
		c := delivery.WithTimeout(delivery.WithCancel(parent, nil, nil), time.Minute, nil)
		look(c)
		child, cancelChild := context.WithTimeout(c, time.Hour)
		defer cancelChild()
		cancel(errCause)
		<-child.Done()
		if !errors.Is(c.Err(), context.Canceled) || !errors.Is(context.Cause(c), errCause) || !errors.Is(context.Cause(child), errCause) {
			t.Fatalf("%v, %v, %v", c.Err(), context.Cause(c), context.Cause(child))
		}
	})
}

func TestATimeoutEndsWithItsOwnCauseWhoeverLookedBefore(t *testing.T) {
	eachLook(t, func(t *testing.T, look func(context.Context)) {
		c := delivery.WithTimeout(t.Context(), time.Minute, errCause)
		defer c.Cancel(context.Canceled)
		look(c)
		if at, ok := c.Deadline(); !ok || time.Until(at) != time.Minute {
			t.Fatalf("deadline %v, %v", at, ok)
		}
		<-time.After(time.Minute - 1)
		if c.Err() != nil {
			t.Fatalf("too early: %v", c.Err())
		}
		<-time.After(1)
		synctest.Wait()
		if !errors.Is(c.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(c), errCause) {
			t.Fatalf("%v, %v", c.Err(), context.Cause(c))
		}
	})
}

func TestAnEarlierDeadlineFurtherOutCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := delivery.WithTimeout(parent, time.Minute, errors.New("not this one"))
		defer c.Cancel(context.Canceled)
		if at, ok := c.Deadline(); !ok || time.Until(at) != time.Second {
			t.Fatalf("deadline %v, %v", at, ok)
		}
		<-c.Done()
		if !errors.Is(context.Cause(c), errCause) {
			t.Fatalf("cause %v", context.Cause(c))
		}
	})
}

func TestADetachedContextOutlivesItsParentAndKeepsItsValues(t *testing.T) {
	eachLook(t, func(t *testing.T, look func(context.Context)) {
		d := &delivery.Delivery{Handler: "stock"}
		parent, cancel := context.WithCancel(delivery.With(context.WithValue(t.Context(), name{}, "x"), d))
		c := delivery.WithoutCancel(parent, time.Now().Add(time.Minute))
		look(c)
		cancel()
		if c.Err() != nil || c.Value(name{}) != "x" || delivery.From(c) != d || delivery.From(context.WithValue(c, name{}, 2)) != d {
			t.Fatalf("%v, %v", c.Err(), c.Value(name{}))
		}
		child, cancelChild := context.WithCancel(c)
		defer cancelChild()
		if child.Err() != nil {
			t.Fatal("a child ended with what its parent is detached from")
		}
		<-c.Done()
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Fatalf("%v", c.Err())
		}
	})
}

func TestManyMayLookAtTheSameTime(t *testing.T) {
	for range 200 {
		c := delivery.WithCancel(t.Context(), nil, nil)
		ended := make(chan struct{})
		for range 4 {
			go func() { <-c.Done(); ended <- struct{}{} }()
		}
		c.Cancel(errCause)
		for range 4 {
			<-ended
		}
	}
}

func TestASnapshotIsWhatWasReceivedWhateverIsWrittenToTheMessage(t *testing.T) {
	msg := message.NewMessage("1", []byte("payload"))
	msg.Metadata = message.Metadata{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}
	d := &delivery.Delivery{}
	first := d.Snapshot(msg)
	if d.Snapshot(msg) != first {
		t.Error("an unchanged message has two snapshots")
	}
	msg.Payload[0], msg.Metadata["a"], msg.Metadata["f"], msg.UUID = 'X', "x", "6", "2"
	if d.Snapshot(msg) == first {
		t.Error("a changed message shares the snapshot of what it was")
	}
	got := first.Message()
	if got.UUID != "1" || string(got.Payload) != "payload" || len(got.Metadata) != 5 || got.Metadata["a"] != "1" || first.Metadata()["e"] != "5" {
		t.Errorf("%q, %q, %v", got.UUID, got.Payload, got.Metadata)
	}
	for _, change := range []func(*message.Message){
		func(m *message.Message) { m.UUID = "3" },
		func(m *message.Message) { m.Payload = []byte("other") },
		func(m *message.Message) { m.Payload[1] = 'Y' },
		func(m *message.Message) { m.Metadata["a"] = "y" },
		func(m *message.Message) { delete(m.Metadata, "b"); m.Metadata["z"] = "" },
		func(m *message.Message) { m.Metadata = nil },
	} {
		before := d.Snapshot(msg)
		change(msg)
		if d.Snapshot(msg) == before {
			t.Error("a change was not seen")
		}
	}
	if d.Snapshot(msg).Metadata() != nil {
		t.Error("no metadata became some")
	}
}
