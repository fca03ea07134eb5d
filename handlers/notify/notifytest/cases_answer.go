package notifytest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

var answerCases = []testCase{
	{"Retry-After is kept where it asks for more, and clamped", func(b *bench) {
		asks := []string{"120", "", "0", "-5", "soon", time.Now().Add(2 * hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), "999999999999"}
		b.Answers(func(c Call) Answer {
			if c.N > len(asks) {
				return Answer{Status: 200}
			}
			return Answer{Status: 503, Header: map[string]string{"Retry-After": asks[c.N-1]}}
		})
		n := b.begin(notify.Config{Schedule: notify.Schedule{Delays: []time.Duration{10 * time.Second}}, MaxRetryAfter: 3 * hour})
		b.put(n, notify.Target{Name: "shop"})
		began := time.Now()
		b.notify(n, "shop", "order-1")
		pass(24 * hour)
		calls := b.Calls("shop")
		b.waits(calls[:6], began, 120*time.Second, 10*time.Second, 10*time.Second, 10*time.Second, 10*time.Second)
		if got := calls[6].At.Sub(began); got < 2*hour-time.Second || got > 2*hour+2*time.Second {
			b.Errorf("a time was kept as %s", got)
		}
		if got := calls[7].At.Sub(calls[6].Ended); got < 3*hour || got > 3*hour+10*time.Minute {
			b.Errorf("clamped to %s", got)
		}
		b.expect(n, "shop", "order-1", notify.Delivered, 8)
	}},
	{"an answer that throttles keeps the other notifications waiting, with no attempt spent", func(b *bench) {
		for i, code := range []int{429, 502, 504} {
			target := fmt.Sprint("shop-", i)
			b.Answers(func(c Call) Answer {
				if c.N == 1 {
					return Answer{Status: code}
				}
				return Answer{Status: 200}
			})
			n := b.notifier(b.db, notify.Config{Schedule: notify.Schedule{Delays: []time.Duration{20 * time.Second}}})
			stop := b.start(n)
			b.put(n, notify.Target{Name: target})
			began := time.Now()
			b.notify(n, target, "first")
			pass(time.Second)
			b.notify(n, target, "second")
			pass(5 * time.Minute)
			calls := b.Calls(target)
			if len(calls) != 3 || calls[1].At.Sub(began) < 20*time.Second || calls[2].At.Sub(began) < 20*time.Second || calls[2].At.Sub(began) > 25*time.Second {
				b.Errorf("%d: %d calls, %v", code, len(calls), calls)
			}
			b.expect(n, target, "first", notify.Delivered, 2)
			b.expect(n, target, "second", notify.Delivered, 1)
			stop()
		}
	}},
	{"410 disables the target and holds what is addressed to it, until it is enabled", func(b *bench) {
		b.Answers(status(410))
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(time.Minute)
		b.notify(n, "shop", "order-2")
		pass(48 * hour)
		if got := len(b.Calls("shop")); got != 1 {
			b.Errorf("%d calls", got)
		}
		b.expect(n, "shop", "order-1", notify.Held, 1)
		b.expect(n, "shop", "order-2", notify.Held, 0)
		t, err := n.Target(ctx, "shop")
		if err != nil || !t.Disabled || !strings.Contains(t.Reason, "410") {
			b.Errorf("%+v, %v", t, err)
		}
		if emitted, _ := b.alerts.named(notify.NameDisabled); emitted != 1 {
			b.Error(b.alerts.String())
		}
		b.put(n, notify.Target{Name: "shop", URL: "https://shop.example/new"}) // does not enable it
		pass(hour)
		b.expect(n, "shop", "order-2", notify.Held, 0)
		failed := false
		b.Answers(func(c Call) Answer {
			if string(c.Body) == `{"id":"order-1"}` && !failed {
				failed = true
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		enabled := time.Now()
		b.must(n.Enable(ctx, "shop", "ops"))
		pass(time.Minute)
		b.expect(n, "shop", "order-1", notify.Delivered, 3)
		b.expect(n, "shop", "order-2", notify.Delivered, 1)
		calls := b.Calls("shop")[1:]
		for i, want := range []time.Duration{0, 0, time.Second} { // the 410 took nothing from the schedule
			if got := calls[i].At.Sub(enabled); !near(got, want) {
				b.Errorf("call %d came %s after Enable, want %s", i+1, got, want)
			}
		}
	}},
	{"a 2xx whose body says no is no success", func(b *bench) {
		rules := map[string]notify.Rule{
			"text": {Text: []string{"success", "OK"}},
			"json": {Field: "result.code", Values: []string{"SUCCESS", "0"}},
		}
		answers := map[string][]string{
			"text": {"fail", "", "successful", `"success"`, " success\n"},
			"json": {"fail", "{}", `{"result":{"code":"FAIL"}}`, `{"result":"SUCCESS"}`, `{"result":{"code":null}}`, `{"result":{"code":[0]}}`, `{"result":{"code":0}}`},
		}
		b.Answers(func(c Call) Answer {
			list := answers[strings.TrimSuffix(c.Host, ".example")]
			return Answer{Status: 200, Body: list[min(c.N, len(list))-1]}
		})
		n := b.begin(notify.Config{})
		for target, rule := range rules {
			b.put(n, notify.Target{Name: target, Rule: rule})
			b.notify(n, target, "order-1")
		}
		pass(24 * hour)
		for target := range rules {
			b.expect(n, target, "order-1", notify.Delivered, len(answers[target]))
		}
	}},
	{"every secret signs while one is replaced", func(b *bench) {
		n := b.begin(notify.Config{})
		first, second, other := notify.NewSecret(), notify.NewSecret(), notify.NewSecret()
		private, public := notify.NewKeyPair()
		for i, secrets := range [][]notify.Secret{{first}, {second, first}, {second}, {second, private}, {private}} {
			b.put(n, notify.Target{Name: "shop", Secrets: secrets})
			b.notify(n, "shop", fmt.Sprint(i))
			pass(time.Second)
			c := b.Calls("shop")[i]
			for _, s := range []notify.Secret{first, second, other} {
				signs := false
				for _, with := range secrets {
					signs = signs || with == s
				}
				if err := b.h.Verify(string(s), c.Header, c.Body); (err == nil) != signs {
					b.Errorf("round %d: %v", i, err)
				}
			}
			if i >= 3 {
				b.must(verify(public, c.Header, c.Body))
			}
		}
	}},
	{"what the partner answers is kept up to its bound, without our secrets", func(b *bench) {
		secret := string(secretOf("shop"))
		b.Answers(func(Call) Answer {
			return Answer{Status: 500, Body: "you sent " + secret + " with token canary0canary \x00\xff" + strings.Repeat("x", 10_000)}
		})
		n := b.begin(notify.Config{MaxResponse: 100, Schedule: notify.Schedule{MaxAttempts: 2, Delays: []time.Duration{time.Second}}})
		b.put(n, notify.Target{Name: "shop", URL: "https://shop.example/hook?key=canary0canary"})
		b.notify(n, "shop", "order-1")
		pass(hour)
		attempts, err := n.Attempts(ctx, "shop", "order-1")
		b.must(err)
		for _, a := range attempts {
			if len(a.Response) > 100 || !strings.HasPrefix(a.Response, "you sent *** with token *** ") || strings.Contains(a.Response, "\x00") {
				b.Errorf("%q", a.Response)
			}
		}
		t, err := n.Target(ctx, "shop")
		b.must(err)
		for _, text := range []string{fmt.Sprintf("%v %+v %#v", t, t, t), fmt.Sprintf("%v %+v %#v %q", t.Secrets, t.Secrets, t.Secrets, t.Secrets), b.alerts.String(), b.log.String()} {
			if strings.Contains(text, secret[6:]) || strings.Contains(text, "canary") {
				b.Error(text)
			}
		}
	}},
}
