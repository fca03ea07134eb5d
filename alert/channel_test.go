package alert_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

func labelled(name string, severity alert.Severity, labels map[string]string) alert.Alert {
	return alert.Alert{Name: name, Severity: severity, Labels: labels}
}

func TestGroupsGoWhereTheFirstRouteThatMatchesSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest, page, chat, money := &sender{}, &sender{}, &sender{}, &sender{}
		n, stop := start(t, rest, alert.Config{
			Channels: map[string]alert.Channel{"page": {Sender: page}, "chat": {Sender: chat}, "money": {Sender: money}},
			Routes: []alert.Route{
				{Match: []string{"team=money"}, Channels: []string{"money"}, Continue: true},
				{Match: []string{"severity=critical", "env!=test"}, Channels: []string{"page", "chat"}},
				{Match: []string{"name=~outbox_.*"}, Channels: []string{"chat"}},
			},
		})
		n.Emit(labelled("down", alert.Critical, map[string]string{"team": "money"}))
		n.Emit(labelled("down", alert.Critical, map[string]string{"env": "test"}))
		n.Emit(labelled("outbox_lag", alert.Warning, nil))
		n.Emit(labelled("my_outbox_lag", alert.Warning, nil))
		n.Emit(labelled("late", alert.Info, map[string]string{"team": "money"}))
		pause(t, time.Minute)
		page.want(t, "firing down 1")
		chat.want(t, "firing down 1", "firing outbox_lag 1")
		money.want(t, "firing down 1", "firing late 1")
		rest.want(t, "firing down 1", "firing my_outbox_lag 1")
		stop()
	})
}

func TestAFailingChannelIsTriedAgainAfterGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{fail: func(try int) error {
			if try < 4 {
				return errors.New("no route")
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{})
		begun := time.Now()
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		if len(c.times()) != 1 || c.times()[0].Sub(begun) != 7*time.Second { // 1 + 2 + 4
			t.Fatalf("%v", c.times())
		}
		stop()
	})
}

func TestAChannelThatFailsIsReplacedAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healthy atomic.Bool
		c := &sender{fail: func(int) error {
			if !healthy.Load() {
				return errors.New("no route")
			}
			return nil
		}}
		spare := &sender{}
		n, stop := start(t, c, alert.Config{MaxAttempts: 2, Fallback: "spare", Repeat: 20 * time.Minute, Channels: map[string]alert.Channel{"spare": {Sender: spare}}})
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		c.want(t)
		spare.want(t, "firing down 1")
		if s := n.Stats(); s.Failed != 1 || s.Sent != 1 {
			t.Fatalf("%+v", s)
		}
		healthy.Store(true)
		pause(t, 5*time.Minute)
		c.want(t, "firing down 1")
		for range 5 { // long enough to be told again, by the channel that works
			n.Emit(urgent("down"))
			pause(t, 5*time.Minute)
		}
		spare.want(t, "firing down 1")
		n.Resolve(urgent("down"))
		pause(t, 10*time.Minute)
		c.want(t, "firing down 1", "firing down 5", "resolved down 6")
		spare.want(t, "firing down 1", "resolved down 6") // who was told that it fires is told that it is over
		stop()
	})
}

func TestANotificationThatIsRefusedAsItIsStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{fail: func(try int) error {
			if try == 1 {
				return &alert.SendError{Err: errors.New("too large")}
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{})
		n.Emit(urgent("refused"))
		pause(t, 2*time.Second)
		n.Emit(urgent("next"))
		pause(t, 10*time.Minute)
		c.want(t, "firing next 1")
		if c.calls() != 2 || n.Stats().Failed != 1 {
			t.Fatalf("%d tries, %+v", c.calls(), n.Stats())
		}
		stop()
	})
}

func TestABrokenChannelIsLeftAloneAndNeverToldOfItself(t *testing.T) {
	for _, fallback := range []string{"", "spare"} {
		t.Run("fallback "+fallback, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mended atomic.Bool
				c := &sender{fail: func(int) error {
					if !mended.Load() {
						return &alert.SendError{Permanent: true, Err: errors.New("310000 sign not match")}
					}
					return nil
				}}
				spare := &sender{}
				n, stop := start(t, c, alert.Config{Fallback: fallback, Quiet: time.Hour, Channels: map[string]alert.Channel{"spare": {Sender: spare}}})
				for i := range 30 {
					n.Emit(urgent("down"))
					n.Emit(urgent(fmt.Sprint(i % 5)))
					pause(t, time.Minute)
				}
				if c.calls() < 2 || c.calls() > 6 {
					t.Fatalf("tried %d times in half an hour", c.calls())
				}
				told := strings.Join(spare.told(), ",")
				if strings.Count(told, "firing "+alert.ChannelBrokenName) != 1 || strings.Contains(told, "resolved "+alert.ChannelBrokenName) {
					t.Fatalf("the spare channel was told %q", told)
				}
				if got := strings.Contains(told, "firing down"); got != (fallback != "") {
					t.Fatalf("with fallback %q the spare channel was told %q", fallback, told)
				}
				mended.Store(true)
				pause(t, 20*time.Minute)
				if told := strings.Join(c.told(), ","); !strings.Contains(told, "down") || strings.Contains(told, alert.ChannelBrokenName) {
					t.Fatalf("the channel was told %q", told)
				}
				if told := strings.Join(spare.told(), ","); !strings.Contains(told, "resolved "+alert.ChannelBrokenName) {
					t.Fatalf("the spare channel was told %q", told)
				}
				stop()
			})
		})
	}
}

func TestAHeldChannelIsLeftAloneAndThenGetsOneDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until time.Time
		c := &sender{}
		c.fail = func(try int) error {
			if try == 1 {
				until = time.Now().Add(10 * time.Minute)
				return &alert.SendError{Until: until, Err: errors.New("130101 too fast")}
			}
			return nil
		}
		n, stop := start(t, c, alert.Config{})
		for i := range 10 {
			n.Emit(urgent(fmt.Sprint(i)))
			n.Emit(urgent(fmt.Sprint(i)))
			pause(t, 2*time.Second)
		}
		pause(t, 9*time.Minute)
		if c.calls() != 1 {
			t.Fatalf("%d tries while it is held", c.calls())
		}
		pause(t, time.Minute)
		c.want(t, "firing "+alert.DigestName+" 20")
		if d := c.list()[0].Digest; len(d) != 10 || d[0].Count != 2 || d[0].Severity != alert.Critical || c.list()[0].Severity != alert.Critical {
			t.Fatalf("%+v", c.list()[0])
		}
		if at := c.times()[0]; at.Before(until) || at.After(until.Add(time.Second)) {
			t.Fatalf("at %s, held until %s", at, until)
		}
		stop()
	})
}

func TestWhatAChannelCannotTakeNowItTakesAsADigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{Rate: 5})
		for i := range 50 {
			n.Emit(urgent(fmt.Sprint(i)))
		}
		pause(t, 61*time.Second)
		if len(c.list()) != 6 || len(c.list()[5].Digest) != alert.MaxDigest || c.list()[5].Omitted != 25 || c.list()[5].Count != 45 {
			t.Fatalf("%q, the last with %d and %d more", c.told(), len(c.list()[5].Digest), c.list()[5].Omitted)
		}
		stop()
	})
}

func TestAnUnlimitedChannelTakesAllAndAChannelHasItsOwnTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, &sender{}, alert.Config{
			Channels: map[string]alert.Channel{"am": {Sender: c, Unlimited: true, GroupWait: 1, GroupInterval: 1, Repeat: time.Minute}},
			Routes:   []alert.Route{{Channels: []string{"am"}}},
		})
		for i := range 100 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i)})
		}
		pause(t, 10*time.Second)
		if len(c.list()) != 100 {
			t.Fatalf("%d of 100", len(c.list()))
		}
		pause(t, 3*time.Minute)
		if len(c.list()) != 400 || !c.list()[399].Repeat {
			t.Fatalf("%d, want each of 100 again each minute", len(c.list()))
		}
		stop()
	})
}

func TestAChannelThatWantsNoneIsNotToldThatAGroupIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, &sender{}, alert.Config{
			Channels: map[string]alert.Channel{"sms": {Sender: c, NoResolved: true}},
			Routes:   []alert.Route{{Channels: []string{"sms"}}},
		})
		n.Emit(urgent("down"))
		pause(t, time.Hour)
		n.Emit(urgent("down"))
		pause(t, time.Second)
		c.want(t, "firing down 1", "firing down 1")
		stop()
	})
}

func TestASenderThatPanicsOrHangsDelaysNoOtherChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, good := &sender{block: make(chan struct{})}, &sender{}
		panicking := &sender{fail: func(int) error { panic("bad sender") }}
		n, stop := start(t, good, alert.Config{
			Channels: map[string]alert.Channel{"hangs": {Sender: hanging}, "panics": {Sender: panicking}},
			Routes:   []alert.Route{{Channels: []string{alert.DefaultChannel, "hangs", "panics"}}},
		})
		for i := range 3 {
			n.Emit(urgent(fmt.Sprint(i)))
			pause(t, time.Second)
		}
		good.want(t, "firing 0 1", "firing 1 1", "firing 2 1")
		pause(t, 5*time.Minute)
		if s := n.Stats(); s.Failed != 6 {
			t.Fatalf("%+v", s)
		}
		stop()
	})
}

func TestTheWatchdogBeatsOnceForAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		c := &sender{}
		cfg := alert.Config{State: state, Channels: map[string]alert.Channel{"dog": {Sender: c}}, Watchdog: alert.Watchdog{Channel: "dog"}}
		_, stopA := start(t, &sender{}, cfg)
		b, stopB := start(t, &sender{}, cfg)
		pause(t, 10*time.Minute+30*time.Second)
		if len(c.list()) != 11 || c.list()[0].Name != alert.WatchdogName || c.list()[0].Status != alert.Firing {
			t.Fatalf("%d heartbeats in 10 minutes", len(c.list()))
		}
		stopA()
		pause(t, 10*time.Minute)
		if len(c.list()) != 21 || b.Stats().Sent != 0 {
			t.Fatalf("%d heartbeats in 20 minutes, %+v", len(c.list()), b.Stats())
		}
		stopB()
		pause(t, time.Hour)
		_, stop := start(t, &sender{}, cfg)
		pause(t, 59*time.Second)
		if len(c.list()) != 22 {
			t.Fatalf("%d heartbeats", len(c.list()))
		}
		stop()
	})
}
