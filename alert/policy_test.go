package alert_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

func TestASilenceKeepsBackWhatItMatchesOnAllReplicasUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		c := &sender{}
		a, stopA := start(t, c, alert.Config{State: state})
		b, stopB := start(t, c, alert.Config{State: state})
		if _, err := b.Silence(t.Context(), alert.Silence{Match: []string{"name=~down.*"}, Until: time.Now().Add(2 * time.Hour), By: "ops"}); err != nil {
			t.Fatal(err)
		}
		list, err := a.Silences(t.Context())
		if err != nil || len(list) != 1 || list[0].By != "ops" || list[0].ID == "" {
			t.Fatalf("%+v, %v", list, err)
		}
		for range 118 {
			a.Emit(urgent("down"))
			a.Emit(urgent("other"))
			pause(t, time.Minute)
		}
		c.want(t, "firing other 1")
		if a.Stats().Muted+b.Stats().Muted == 0 {
			t.Fatal("nothing counts as muted")
		}
		for range 4 {
			a.Emit(urgent("down"))
			pause(t, time.Minute)
		}
		if got := c.told(); len(got) != 2 || !strings.HasPrefix(got[1], "firing down 12") {
			t.Fatalf("%q", got)
		}
		if list, err = a.Silences(t.Context()); err != nil || len(list) != 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		stopA()
		stopB()
	})
}

func TestWhatHappenedOnlyWithinASilenceIsNeverTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		id, err := n.Silence(t.Context(), alert.Silence{Match: []string{"severity=critical"}, Until: time.Now().Add(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		n.Emit(urgent("down"))
		pause(t, 2*time.Hour)
		if err := n.Unsilence(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := n.Unsilence(t.Context(), id); err != nil {
			t.Fatalf("a second time: %v", err)
		}
		pause(t, 2*time.Hour)
		c.want(t)
		n.Emit(urgent("down"))
		pause(t, time.Second)
		c.want(t, "firing down 1")
		stop()
	})
}

func TestASilenceIsNoEndOfWhatItMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(urgent("down"))
		pause(t, time.Second)
		if _, err := n.Silence(t.Context(), alert.Silence{Match: []string{"name=down"}, Until: time.Now().Add(5 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for range 27 { // past Repeat
			n.Emit(urgent("down"))
			pause(t, 10*time.Minute)
		}
		c.want(t, "firing down 1")
		stop()
	})
}

func TestASilencedAlertIsNoNewsOfItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{GroupBy: []string{"name"}})
		if _, err := n.Silence(t.Context(), alert.Silence{Match: []string{"env=test"}, Until: time.Now().Add(5 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			n.Emit(labelled("dead", alert.Warning, map[string]string{"env": "prod"}))
			if i > 2 {
				n.Emit(labelled("dead", alert.Warning, map[string]string{"env": "test"}))
			}
			pause(t, 2*time.Minute)
		}
		c.want(t, "firing dead 1")
		stop()
	})
}

func TestABadSilenceIsRefusedWithAllThatIsWrong(t *testing.T) {
	n := build(t, &sender{}, alert.Config{})
	for _, c := range []struct {
		silence alert.Silence
		want    []string
	}{
		{alert.Silence{}, []string{"Silence.Match", "Silence.Until"}},
		{alert.Silence{Match: []string{"severity", "name=~("}, Until: time.Now().Add(-time.Hour)}, []string{"Silence.Match[0]", "Silence.Match[1]", "Silence.Until"}},
	} {
		_, err := n.Silence(t.Context(), c.silence)
		for _, field := range c.want {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s is not named in %v", field, err)
			}
		}
	}
	if list, err := n.Silences(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestWhatFollowsFromSomethingElseIsInhibited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{Inhibitions: []alert.Inhibition{
			{Source: []string{"name=broker_down"}, Target: []string{"name=~outbox_.*|broker_down"}, Equal: []string{"env"}},
		}})
		prod := map[string]string{"env": "prod"}
		for range 20 {
			n.Emit(labelled("outbox_lag", alert.Warning, prod))
			n.Emit(labelled("outbox_lag", alert.Warning, map[string]string{"env": "test"}))
			n.Emit(labelled("broker_down", alert.Critical, prod))
			pause(t, time.Minute)
		}
		c.want(t, "firing broker_down 1", "firing outbox_lag 1")
		if c.list()[1].Labels["env"] != "test" {
			t.Fatalf("%+v", c.list()[1])
		}
		n.Resolve(labelled("broker_down", alert.Critical, prod))
		for range 10 { // the child goes on without it
			n.Emit(labelled("outbox_lag", alert.Warning, prod))
			pause(t, time.Minute)
		}
		told := strings.Join(c.told(), ",")
		if strings.Count(told, "firing outbox_lag") != 2 || !strings.Contains(told, "resolved broker_down") {
			t.Fatalf("%q", told)
		}
		stop()
	})
}

func TestEscalationByAgeGoesToTheNextChannelAndEndsThereToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, boss, phone := &sender{}, &sender{}, &sender{}
		n, stop := start(t, c, alert.Config{
			Channels: map[string]alert.Channel{"boss": {Sender: boss}, "phone": {Sender: phone}},
			Escalations: []alert.Escalation{
				{Match: []string{"severity=critical"}, After: 30 * time.Minute, Channels: []string{"boss"}},
				{After: 10 * time.Minute, Channels: []string{"phone"}, Unacknowledged: true},
			},
		})
		down, slow := urgent("down"), alert.Alert{Name: "slow"}
		down.Condition, slow.Condition = true, true
		n.Emit(down)
		n.Emit(slow)
		pause(t, 5*time.Minute)
		if err := n.Acknowledge(t.Context(), slow.Fingerprint(), "ops"); err != nil {
			t.Fatal(err)
		}
		if err := n.Acknowledge(t.Context(), "unknown", "ops"); !errors.Is(err, alert.ErrNotFiring) {
			t.Fatalf("of what does not fire: %v", err)
		}
		active, err := n.Active(t.Context())
		if err != nil || len(active) != 2 {
			t.Fatalf("%+v, %v", active, err)
		}
		for _, a := range active {
			if (a.Ack != nil) != (a.Name == "slow") || a.Told[alert.DefaultChannel].IsZero() {
				t.Fatalf("%+v", a)
			}
		}
		pause(t, 4*time.Minute+59*time.Second)
		phone.want(t)
		for range 25 {
			pause(t, time.Minute)
			n.Emit(down)
			n.Emit(slow)
		}
		phone.want(t, "firing down 1")
		boss.want(t, "firing down 1")
		if d := boss.times()[0].Sub(phone.times()[0]); d != 20*time.Minute {
			t.Fatalf("the second %s after the first", d)
		}
		n.Resolve(down)
		n.Resolve(slow)
		pause(t, 10*time.Minute)
		phone.want(t, "firing down 1", "resolved down 1")
		boss.want(t, "firing down 1", "resolved down 1")
		stop()
	})
}

func TestWhatGrowsCriticalIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(alert.Alert{Name: "backlog"})
		pause(t, time.Minute)
		n.Emit(urgent("backlog"))
		pause(t, time.Second)
		c.want(t, "firing backlog 1", "firing backlog 2")
		stop()
	})
}

func TestAConditionIsCountedOnceHoweverOftenItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{Link: "https://ops.example/{fingerprint}"})
		a := urgent("full")
		a.Condition = true
		for range 60 {
			n.Emit(a)
			n.Emit(a)
			pause(t, time.Minute)
		}
		c.want(t, "firing full 1")
		if c.list()[0].Link != "https://ops.example/"+a.Fingerprint() || c.list()[0].Fingerprint != a.Fingerprint() {
			t.Fatalf("%+v", c.list()[0])
		}
		stop()
	})
}

func TestLongAndInvalidTextsAreShortenedAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{State: shared(t)})
		n.Emit(alert.Alert{
			Name: "down\x00\xff", Severity: alert.Critical, Summary: strings.Repeat("错", 2000), Key: strings.Repeat("k", 1000),
			Reason: strings.Repeat("r", 100_000), Labels: map[string]string{"a\x00": "b\xff"},
		})
		pause(t, time.Second)
		if len(c.list()) != 1 || len(c.list()[0].Summary) > 1024 || len(c.list()[0].Samples[0].Key) > 256 || len(c.list()[0].Samples[0].Reason) > 512 {
			t.Fatalf("%q", c.told())
		}
		stop()
	})
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := alert.New(nil, alert.Config{
		GroupBy: []string{""}, GroupWait: -1, GroupInterval: -1, Repeat: -1, Quiet: -1, Poll: -1, Buffer: -1, SendTimeout: -1, MaxAttempts: -1, Drain: -1,
		Rate: -1, Fallback: "gone",
		Channels: map[string]alert.Channel{
			"":                   {Sender: &sender{}},
			alert.DefaultChannel: {Sender: &sender{}},
			"nil":                {Rate: -2, GroupWait: -1, GroupInterval: -1, Repeat: -1, Fallback: "mail"},
			"a":                  {Sender: &sender{}, Fallback: "b"},
			"b":                  {Sender: &sender{}, Fallback: "a"},
		},
		Routes:      []alert.Route{{Match: []string{"severity"}, Channels: []string{"nowhere"}}, {}},
		Escalations: []alert.Escalation{{After: -time.Second, Match: []string{"=x"}, Channels: []string{"boss"}}, {}},
		Inhibitions: []alert.Inhibition{{Source: []string{"name=~["}}},
		Watchdog:    alert.Watchdog{Channel: "dog", Every: -1},
	})
	if err == nil {
		t.Fatal("all of it was accepted")
	}
	for _, field := range []string{
		"sender:", "Config.GroupBy", "Config.GroupWait", "Config.GroupInterval", "Config.Repeat", "Config.Quiet", "Config.Poll", "Config.Buffer",
		"Config.SendTimeout", "Config.MaxAttempts", "Config.Drain", "Config.Rate", "Config.Fallback",
		`Config.Channels[""]`, `Config.Channels["default"]`, `Config.Channels["nil"].Sender`, `Config.Channels["nil"].Rate`,
		`Config.Channels["nil"].GroupWait`, `Config.Channels["nil"].GroupInterval`, `Config.Channels["nil"].Repeat`, `Config.Channels["nil"].Fallback`,
		`Config.Channels["a"].Fallback`, `Config.Channels["b"].Fallback`,
		"Config.Routes[0].Match[0]", "Config.Routes[0].Channels", "Config.Routes[1].Channels",
		"Config.Escalations[0].After", "Config.Escalations[0].Match[0]", "Config.Escalations[0].Channels", "Config.Escalations[1].Channels",
		"Config.Inhibitions[0].Source[0]", "Config.Inhibitions[0].Target", "Config.Watchdog.Channel", "Config.Watchdog.Every",
	} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in\n%v", field, err)
		}
	}
}
