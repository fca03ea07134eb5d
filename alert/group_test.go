package alert_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

func TestWhatGoesOnIsToldAgainAfterRepeatAndWithTheCountSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		begun := time.Now()
		for time.Since(begun) < 4*time.Hour+time.Minute {
			n.Emit(dead("k"))
			pause(t, time.Minute)
		}
		if len(c.list()) != 2 || !c.list()[1].Repeat || c.times()[1].Sub(c.times()[0]) != 4*time.Hour || c.list()[1].New != c.list()[1].Count-1 || c.list()[1].Count < 239 {
			t.Fatalf("%q at %v, new %d", c.told(), c.times(), c.list()[1].New)
		}
		pause(t, 16*time.Minute)
		if len(c.list()) != 3 || c.list()[2].Status != alert.Resolved {
			t.Fatalf("%q", c.told())
		}
		stop()
	})
}

func TestWhatFlapsIsStillForLongerBeforeItCountsAsResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		for range 12 * 24 { // a day of 2 minutes off, 3 on
			n.Emit(urgent("circuit"))
			pause(t, 3*time.Minute)
			n.Resolve(urgent("circuit"))
			pause(t, 2*time.Minute)
		}
		if len(c.list()) > 12 {
			t.Fatalf("%d notifications in a day", len(c.list()))
		}
		pause(t, 5*time.Hour)
		if last := c.list()[len(c.list())-1]; last.Status != alert.Resolved {
			t.Fatalf("it ends with %s", last.Status)
		}
		stop()
	})
}

func TestWhatComesBackSoonAfterItWasQuietMustBeQuietForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{Repeat: 24 * time.Hour})
		for range 3 * 12 {
			n.Emit(dead("k"))
			pause(t, 20*time.Minute)
		}
		if got := c.told(); len(got) > 4 {
			t.Fatalf("%q", got)
		}
		pause(t, 2*time.Hour)
		if last := c.list()[len(c.list())-1]; last.Status != alert.Resolved {
			t.Fatalf("it ends with %s", last.Status)
		}
		stop()
	})
}

func TestAGroupIsToldOfWhatIsNewAndWhatIsOverInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{GroupBy: []string{"name"}})
		of := func(handler string) alert.Alert {
			return alert.Alert{Name: "dead", Handler: handler, Topic: "orders"}
		}
		n.Emit(of("stock"))
		n.Emit(of("points"))
		pause(t, 30*time.Second)
		c.want(t, "firing dead 2")
		if got := c.list()[0]; got.Handler != "" || got.Topic != "orders" {
			t.Fatalf("not what they share: %+v", got)
		}
		n.Emit(of("stock")) // nothing new
		pause(t, time.Minute)
		n.Emit(of("payment")) // new in the group
		pause(t, 4*time.Minute-time.Second)
		c.want(t, "firing dead 2")
		pause(t, time.Second)
		c.want(t, "firing dead 2", "firing dead 4")
		n.Resolve(of("payment"))
		pause(t, 5*time.Minute)
		c.want(t, "firing dead 2", "firing dead 4", "firing dead 4")
		n.Resolve(of("stock"))
		n.Resolve(of("points"))
		pause(t, 5*time.Minute)
		c.want(t, "firing dead 2", "firing dead 4", "firing dead 4", "resolved dead 4")
		stop()
	})
}
