package alert

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type silent struct{}

func (silent) Send(context.Context, Notification) error { return nil }

func TestOneReplicaAtATimePutsTogetherADigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := NewMemory()
		n, err := New(silent{}, Config{State: state, SendTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c := n.plan.channels[DefaultChannel]
		reserve := func(id string) permit {
			p, err := n.reserve(t.Context(), state, c, id, true)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if p := reserve("one"); !p.granted() {
			t.Fatalf("the first: %+v", p)
		}
		if p := reserve("two"); p.granted() || !p.busy {
			t.Fatalf("the second meanwhile: %+v", p)
		}
		if p, err := n.reserve(t.Context(), state, c, "single", false); err != nil || !p.granted() {
			t.Fatalf("what is no digest: %+v, %v", p, err)
		}
		if _, err := n.release(t.Context(), state, c, "one", ending{}); err != nil {
			t.Fatal(err)
		}
		if p := reserve("two"); !p.granted() {
			t.Fatalf("after the first: %+v", p)
		}
		<-time.After(n.lease()) // who had it is gone
		if p := reserve("three"); !p.granted() {
			t.Fatalf("after its lease: %+v", p)
		}
	})
}

func TestAProcessThatEndsWhileItSendsLeavesNoGapInTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := NewMemory()
		n, err := New(silent{}, Config{State: state, Rate: 1, SendTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c := n.plan.channels[DefaultChannel]
		begun := time.Now()
		if p, err := n.reserve(t.Context(), state, c, "gone", false); err != nil || !p.granted() {
			t.Fatalf("%+v, %v", p, err)
		}
		p, err := n.reserve(t.Context(), state, c, "next", false)
		if err != nil || p.until.Sub(begun) != 70*time.Second { // it may have arrived after 10 s
			t.Fatalf("%s, %v", p.until.Sub(begun), err)
		}
		if _, err := n.release(t.Context(), state, c, "gone", ending{err: errors.New("it failed at once")}); err != nil {
			t.Fatal(err)
		}
		if p, err = n.reserve(t.Context(), state, c, "next", false); err != nil || p.until.Sub(begun) != time.Minute {
			t.Fatalf("%s, %v", p.until.Sub(begun), err)
		}
	})
}
