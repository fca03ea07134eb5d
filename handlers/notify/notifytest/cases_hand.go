package notifytest

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

var handCases = []testCase{
	{"what the partner confirms is not sent any more", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(10 * time.Second)
		for range 2 {
			b.must(n.Confirm(ctx, "shop", "order-1", "partner"))
		}
		pass(48 * hour)
		r := b.expect(n, "shop", "order-1", notify.Confirmed, 3)
		if got := len(b.Calls("shop")); got != 3 || r.ConfirmedAt.IsZero() || r.FinishedAt.IsZero() {
			b.Errorf("%d calls, %+v", got, r)
		}
		if err := n.Confirm(ctx, "shop", "order-2", "partner"); !errors.Is(err, notify.ErrNotFound) {
			b.Error(err)
		}
		actions, err := n.Actions(ctx, "shop", notify.Action{}, 10)
		if err != nil || len(actions) != 2 || actions[0].What != "confirm" {
			b.Errorf("%+v, %v", actions, err)
		}
	}},
	{"a resend in the middle of the schedule begins it again, and of a delivered one sends it again", func(b *bench) {
		b.Answers(func(c Call) Answer {
			if c.N <= 8 {
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(10 * time.Second) // three attempts; the fourth is due at 21 s
		resent := time.Now()
		b.must(n.Resend(ctx, "shop", "order-1", "alice"))
		pass(hour)
		// And by this schedule only: the task of the one before is over.
		b.waits(b.Calls("shop")[3:], resent, time.Second, 5*time.Second, 15*time.Second, 30*time.Second, time.Minute)
		b.expect(n, "shop", "order-1", notify.Delivered, 9)
		b.must(n.Resend(ctx, "shop", "order-1", "alice"))
		pass(hour)
		b.expect(n, "shop", "order-1", notify.Delivered, 10)
		if err := n.Resend(ctx, "shop", "order-2", "alice"); !errors.Is(err, notify.ErrNotFound) {
			b.Error(err)
		}
		if err := n.Resend(ctx, "shop", "order-1", ""); !errors.Is(err, notify.ErrInvalid) {
			b.Error("nobody resent it")
		}
	}},
	{"a window is sent again, page by page, and what is outside of it is not", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{Circuit: notify.NoCircuit, PerTarget: 16, Schedule: notify.Schedule{MaxAttempts: 1}})
		b.put(n, notify.Target{Name: "shop"})
		b.put(n, notify.Target{Name: "other"})
		b.notify(n, "shop", "early")
		pass(time.Hour)
		from := time.Now()
		for i := range 450 {
			b.notify(n, "shop", fmt.Sprint(i))
		}
		b.notify(n, "other", "0")
		pass(time.Hour)
		to := time.Now()
		b.notify(n, "shop", "late")
		pass(time.Hour)
		b.Answers(status(200))
		window := notify.Window{Target: "shop", From: from, To: to, DryRun: true}
		if sent, err := n.ResendWindow(ctx, window, "alice"); err != nil || sent != 450 {
			b.Errorf("%d, %v", sent, err)
		}
		pass(time.Hour)
		before := len(b.Calls(""))
		window.DryRun = false
		if sent, err := n.ResendWindow(ctx, window, "alice"); err != nil || sent != 450 {
			b.Errorf("%d, %v", sent, err)
		}
		pass(time.Hour)
		if got := len(b.Calls("")) - before; got != 450 {
			b.Errorf("%d were sent", got)
		}
		counts, err := n.Counts(ctx, "shop")
		if err != nil || counts[notify.Delivered] != 450 || counts[notify.Stopped] != 2 {
			b.Errorf("%v, %v", counts, err)
		}
		for _, w := range []notify.Window{{Target: "shop"}, {Target: "shop", From: to, To: from}, {From: from, To: to}, {Target: "shop", From: from, To: to, Statuses: []notify.Status{"x"}}} {
			if _, err := n.ResendWindow(ctx, w, "alice"); !errors.Is(err, notify.ErrInvalid) {
				b.Errorf("%+v: %v", w, err)
			}
		}
	}},
	{"pages have each notification of a window once, in order", func(b *bench) {
		n := b.notifier(b.db, notify.Config{})
		var want []string
		for i := range 25 {
			if i%10 == 0 {
				pass(time.Second) // several share a time
			}
			b.notify(n, "shop", fmt.Sprint(i))
			b.notify(n, "other", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		var got []string
		f := notify.Filter{Target: "shop", Limit: 7}
		for {
			page, err := n.List(ctx, f)
			b.must(err)
			for _, r := range page {
				got = append(got, r.ID)
			}
			if len(page) < f.Limit {
				break
			}
			f.After = page[len(page)-1]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			b.Errorf("got %v, want %v", got, want)
		}
		page, err := n.List(ctx, notify.Filter{Target: "shop", From: b.began.Add(2 * time.Second), To: b.began.Add(3 * time.Second)})
		if err != nil || len(page) != 10 || page[0].ID != "10" {
			b.Errorf("%d, %v", len(page), err)
		}
	}},
}
