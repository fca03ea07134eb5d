package notifytest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

const hour = time.Hour

var scheduleCases = []testCase{
	{"a partner who is down sees the schedule exactly, signed, and one success", func(b *bench) {
		// Down in every way there is: refused, 500, no answer in time, a redirect, 404, and an answer that breaks.
		down := []Answer{
			{Err: ErrRefused}, {Status: 500, Body: "no"}, {After: Hang}, {Status: 302, Header: map[string]string{"Location": "http://169.254.169.254/"}},
			{Status: 404}, {Err: ErrRefused}, {Status: 503}, {Status: 500}, {After: Hang}, {Status: 500}, {Status: 500}, {Err: ErrRefused},
		}
		b.Answers(func(c Call) Answer {
			if c.N <= len(down) {
				return down[c.N-1]
			}
			return Answer{Status: 200, Body: "thank you"}
		})
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.Answers(checked(b, b.answer))
		began := time.Now()
		b.notify(n, "shop", "order-1")
		pass(48 * hour)
		const s, m = time.Second, time.Minute
		calls := b.Calls("shop")
		b.waits(calls, began, s, 5*s, 15*s, 30*s, m, 2*m, 5*m, 10*m, 30*m, hour, hour, hour)
		r := b.expect(n, "shop", "order-1", notify.Delivered, 13)
		if r.LastStatus != 200 || r.LastError != "" || r.FinishedAt.IsZero() {
			b.Errorf("%+v", r)
		}
		ids := map[string]bool{}
		for _, c := range calls {
			ids[c.Header.Get("Webhook-Id")] = true
			if at := c.Header.Get("Webhook-Timestamp"); at != strconv.FormatInt(c.At.Unix(), 10) {
				b.Errorf("signed at %s, sent at %d", at, c.At.Unix())
			}
			if string(c.Body) != `{"id":"order-1"}` || c.Header.Get("Content-Type") != "application/json" {
				b.Errorf("%s %s", c.Header.Get("Content-Type"), c.Body)
			}
		}
		if len(ids) != 1 || !ids[r.WebhookID] {
			b.Errorf("ids %v, want %s", ids, r.WebhookID)
		}
		attempts, err := n.Attempts(ctx, "shop", "order-1")
		b.must(err)
		if len(attempts) != 13 {
			b.Fatalf("%d attempts are recorded", len(attempts))
		}
		for i, a := range attempts {
			if a.Number != i+1 || a.Delivered != (i == 12) || (a.Error == "") != a.Delivered || !near(a.At.Sub(calls[i].At)+time.Millisecond, 0) {
				b.Errorf("%+v", a)
			}
		}
		if a := attempts[1]; a.Status != 500 || a.Response != "no" {
			b.Errorf("%+v", a)
		}
		if a := attempts[2]; a.Status != 0 || !near(a.Duration, notify.DefaultTimeout) || a.Error != "no answer in time" {
			b.Errorf("%+v", a)
		}
		if emitted, _ := b.alerts.named(notify.NameExhausted); emitted != 0 {
			b.Error(b.alerts.String())
		}
	}},
	{"after fifty failures it is stopped, told once, found, and delivered by a resend", func(b *bench) {
		b.Answers(func(Call) Answer { return Answer{Status: 500, Body: "down"} })
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop", Token: "a-token-of-the-merchants-own"})
		began := time.Now()
		b.notify(n, "shop", "order-1")
		pass(3 * 24 * hour)
		if got := len(b.Calls("shop")); got != 50 {
			b.Fatalf("%d calls", got)
		}
		last := b.Calls("shop")[49].At.Sub(began)
		if want := sum(notify.Delays(), 49); !near(last, want) && last-want > 10*time.Second {
			b.Errorf("the last call came after %s, want %s", last, want)
		}
		r := b.expect(n, "shop", "order-1", notify.Stopped, 50)
		if r.LastStatus != 500 || r.LastError != "HTTP 500" || r.FinishedAt.IsZero() {
			b.Errorf("%+v", r)
		}
		if emitted, _ := b.alerts.named(notify.NameExhausted); emitted != 1 {
			b.Errorf("%d alerts: %s", emitted, b.alerts.String())
		}
		missed, err := n.List(ctx, notify.Filter{Target: "shop", Statuses: []notify.Status{notify.Stopped}, From: began, To: began.Add(hour)})
		if err != nil || len(missed) != 1 || missed[0].ID != "order-1" {
			b.Fatalf("%+v, %v", missed, err)
		}
		// The resend fails once more, and goes by the schedule from its beginning.
		b.Answers(func(c Call) Answer {
			if c.N <= 51 {
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		resent := time.Now()
		b.must(n.Resend(ctx, "shop", "order-1", "alice"))
		pass(hour)
		b.waits(b.Calls("shop")[50:], resent, time.Second)
		b.expect(n, "shop", "order-1", notify.Delivered, 52)
		if got := b.Calls("shop"); got[51].Header.Get("Webhook-Id") != r.WebhookID {
			b.Error("another webhook-id")
		}
		actions, err := n.Actions(ctx, "shop", notify.Action{}, 10)
		if err != nil || len(actions) != 2 || actions[0].What != "resend" || actions[0].By != "alice" || actions[0].Request != "order-1" {
			b.Errorf("%+v, %v", actions, err)
		}
	}},
	{"a thousand dead targets do not delay a live one", func(b *bench) {
		b.Answers(func(c Call) Answer {
			if c.Host == "live.example" {
				return Answer{Status: 200}
			}
			return Answer{After: Hang}
		})
		n := b.notifier(b.db, notify.Config{Schedule: notify.Schedule{Delays: []time.Duration{time.Second}}})
		const dead = 1000
		for i := range dead {
			b.put(n, notify.Target{Name: fmt.Sprintf("dead-%d", i)})
			b.notify(n, fmt.Sprintf("dead-%d", i), "a")
		}
		b.put(n, notify.Target{Name: "live"})
		b.start(n)
		var slowest time.Duration
		for i := range 20 { // among first attempts, retries, and time-outs
			id, at := fmt.Sprint(i), time.Now()
			b.notify(n, "live", id)
			pass(999 * time.Millisecond)
			calls := b.Calls("live")
			if len(calls) != i+1 {
				b.Fatalf("live notification %d was not tried within a second, with %d calls so far", i, len(b.Calls("")))
			}
			slowest = max(slowest, calls[i].At.Sub(at))
		}
		if got := len(b.Calls("")); got < 2*dead {
			b.Errorf("%d calls: the dead were not tried", got)
		}
		b.Logf("the slowest came after %s", slowest)
	}},
	{"what the schedule says of attempts and of age is kept", func(b *bench) {
		b.Answers(func(Call) Answer { return Answer{Status: 500} })
		n := b.begin(notify.Config{Schedule: notify.Schedule{Delays: []time.Duration{time.Minute}, MaxAge: 150 * time.Second}})
		b.put(n, notify.Target{Name: "shop"})
		began := time.Now()
		b.notify(n, "shop", "order-1")
		pass(hour)
		b.waits(b.Calls("shop"), began, time.Minute, time.Minute)
		b.expect(n, "shop", "order-1", notify.Stopped, 3)
	}},
}

func sum(delays []time.Duration, n int) (total time.Duration) {
	for i := range n {
		total += delays[min(i, len(delays)-1)]
	}
	return total
}

// checked has every call verified as the partner does.
func checked(b *bench, answer func(Call) Answer) func(Call) Answer {
	return func(c Call) Answer {
		if err := b.h.Verify(string(secretOf("shop")), c.Header, c.Body); err != nil {
			b.Errorf("call %d: %v", c.N, err)
		}
		if b.h.Verify(string(secretOf("shop")), c.Header, append(slices.Clone(c.Body), ' ')) == nil {
			b.Error("another body verifies")
		}
		return answer(c)
	}
}

// status answers it to every call.
func status(code int) func(Call) Answer { return func(Call) Answer { return Answer{Status: code} } }
