package alert_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

func TestStoppingTellsWhatWaitsWithinItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n := build(t, c, alert.Config{})
		for i := range 5 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.Run(ctx); err != nil || len(c.list()) != 5 {
			t.Fatalf("%q, %v", c.told(), err)
		}
		c.set(func(c *sender) { c.block = make(chan struct{}) }) // and now it hangs
		n.Emit(urgent("hangs"))
		begun := time.Now()
		if err := n.Run(ctx); err != nil || time.Since(begun) > 6*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestStoppingWithMoreThanTheRateTellsTheRestInOneDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		for i := range 100 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i)})
		}
		stop()
		if len(c.list()) != 1 || len(c.list()[0].Digest) != alert.MaxDigest || c.list()[0].Omitted != 80 || c.list()[0].Count != 100 {
			t.Fatalf("%q", c.told())
		}
		if s := n.Stats(); s.Sent != 1 || s.Digested != 100 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestStoppingInterruptsASendAndAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{fail: func(try int) error {
			if try == 1 {
				return errors.New("no route")
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{})
		begun := time.Now()
		n.Emit(urgent("down"))
		synctest.Wait() // in its pause
		stop()
		if len(c.list()) != 1 || time.Since(begun) != 0 {
			t.Fatalf("%d sent after %s", len(c.list()), time.Since(begun))
		}
	})
}
