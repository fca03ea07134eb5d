package notifytest

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

var errBusiness = errors.New("the order failed")

var faultCases = []testCase{
	{"a notification is there if its transaction commits, and once", func(b *bench) {
		n := b.begin(notify.Config{PollMax: time.Second})
		b.put(n, notify.Target{Name: "shop"})
		what := notify.Notification{Target: "shop", ID: "order-1", Payload: []byte("paid")}
		in := func(what notify.Notification, end error) (added bool, err error) {
			tx, err := b.db.BeginTx(ctx, nil)
			b.must(err)
			defer func() { _ = tx.Rollback() }()
			if added, err = n.Enqueue(ctx, tx, what); err != nil || end != nil {
				return added, errors.Join(err, end)
			}
			return added, tx.Commit()
		}
		if _, err := in(what, errBusiness); !errors.Is(err, errBusiness) {
			b.Fatal(err)
		}
		pass(time.Minute)
		if _, err := n.Get(ctx, "shop", "order-1"); !errors.Is(err, notify.ErrNotFound) || len(b.Calls("")) != 0 {
			b.Fatalf("rolled back, and there: %v", err)
		}
		for i := range 3 {
			added, err := in(what, nil)
			if err != nil || added != (i == 0) {
				b.Errorf("%v, %v", added, err)
			}
			pass(time.Minute)
		}
		other := what
		other.Payload = []byte("not paid")
		if _, err := in(other, nil); !errors.Is(err, notify.ErrConflict) {
			b.Errorf("another payload under the same number: %v", err)
		}
		other = what
		other.Target = "another shop" // has its own numbers
		if added, err := in(other, nil); err != nil || !added {
			b.Error(err)
		}
		pass(time.Minute)
		if got := len(b.Calls("shop")); got != 1 {
			b.Errorf("%d calls", got)
		}
	}},
	{"what another process has enqueued is found within PollMax", func(b *bench) {
		n := b.begin(notify.Config{PollMax: time.Second})
		b.put(n, notify.Target{Name: "shop"})
		pass(10 * time.Minute)
		other := b.notifier(b.connect(), notify.Config{})
		at := time.Now()
		b.notify(other, "shop", "order-1")
		pass(time.Minute)
		if got := b.Calls("shop")[0].At.Sub(at); got > time.Second {
			b.Errorf("found after %s", got)
		}
	}},
	{"an attempt that is cut off by a stop does not count, and is made after the restart", func(b *bench) {
		b.Answers(func(c Call) Answer {
			if c.N == 2 {
				return Answer{After: Hang}
			}
			if c.N < 4 {
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		n := b.notifier(b.db, notify.Config{})
		stop := b.start(n)
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(5 * time.Second) // in the middle of the second
		stop()
		b.expect(n, "shop", "order-1", notify.Waiting, 1)
		pass(hour)
		restarted := time.Now()
		n = b.begin(notify.Config{})
		pass(hour)
		b.expect(n, "shop", "order-1", notify.Delivered, 3)
		calls := b.Calls("shop")
		if !calls[1].CutOff || !near(calls[2].At.Sub(restarted), 0) {
			b.Errorf("%+v", calls[1:])
		}
		b.waits(calls[2:], restarted, 5*time.Second) // the second of the schedule
		attempts, err := n.Attempts(ctx, "shop", "order-1")
		if err != nil || len(attempts) != 3 {
			b.Errorf("%d attempts are recorded, %v", len(attempts), err)
		}
	}},
	{"a process killed before the answer is recorded has it sent again, as the same attempt", func(b *bench) {
		// Its database goes away while the partner answers: nothing that it does after that is kept.
		dying := b.connect()
		first := b.notifier(dying, notify.Config{Lease: 10 * time.Second})
		b.Answers(func(c Call) Answer {
			if c.N == 2 {
				_ = dying.Close()
			}
			if c.N == 1 {
				return Answer{Status: 500}
			}
			return Answer{Status: 200}
		})
		stop := b.start(first)
		n := b.notifier(b.db, notify.Config{Lease: 10 * time.Second, PollMax: time.Second})
		b.put(n, notify.Target{Name: "shop"})
		at := time.Now()
		b.notify(first, "shop", "order-1")
		pass(5 * time.Second)
		stop()
		b.start(n)
		pass(hour)
		b.expect(n, "shop", "order-1", notify.Delivered, 2)
		calls := b.Calls("shop")
		if len(calls) != 3 || calls[2].At.Sub(at) > 15*time.Second {
			b.Fatalf("%d calls: %v", len(calls), calls)
		}
		if calls[1].Header.Get("Webhook-Id") != calls[2].Header.Get("Webhook-Id") {
			b.Error("the partner cannot know it by its id")
		}
	}},
	{"a process that died between stopping a notification and telling of it has its successor tell", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "order-1")
		pass(10 * time.Second) // its task is there, and due at 21 s
		_, err := b.db.Exec("UPDATE " + b.prefix + "notify_message SET status = 'stopped', finished_at = updated_at")
		b.must(err)
		pass(hour)
		if emitted, _ := b.alerts.named(notify.NameExhausted); emitted != 1 || len(b.Calls("shop")) != 3 {
			b.Errorf("%d alerts, %d calls", emitted, len(b.Calls("shop")))
		}
	}},
	{"what was recorded of an attempt counts, though its task was never settled", func(b *bench) {
		b.Answers(status(500))
		n := b.begin(notify.Config{})
		b.put(n, notify.Target{Name: "shop"})
		began := time.Now()
		b.notify(n, "shop", "order-1")
		pass(500 * time.Millisecond)
		// As if the process had died after it had recorded the third attempt: the task is due, the row says later.
		_, err := b.db.Exec("UPDATE " + b.prefix + "notify_message SET attempts = 3, next_at = " + fmt.Sprint(began.Add(15*time.Second).UnixMicro()))
		b.must(err)
		pass(hour)
		calls := b.Calls("shop")
		if got := calls[1].At.Sub(began); !near(got, 15*time.Second) {
			b.Errorf("called after %s", got)
		}
		if got := calls[2].At.Sub(calls[1].At); !near(got, 30*time.Second) { // the fourth of the schedule
			b.Errorf("and then after %s", got)
		}
	}},
	{"two processes make each attempt once", func(b *bench) {
		b.Answers(func(c Call) Answer {
			if c.N%3 != 0 {
				return Answer{Status: 500, After: 50 * time.Millisecond}
			}
			return Answer{Status: 200}
		})
		first := b.begin(notify.Config{Circuit: notify.NoCircuit})
		second := b.begin(notify.Config{Circuit: notify.NoCircuit, PollMax: time.Second})
		for i := range 50 {
			target := fmt.Sprint("shop-", i)
			b.put(first, notify.Target{Name: target})
			n := []*notify.Notifier{first, second}[i%2]
			b.notify(n, target, "order-1")
		}
		pass(hour)
		for i := range 50 {
			target := fmt.Sprint("shop-", i)
			b.expect(first, target, "order-1", notify.Delivered, 3)
			if got := len(b.Calls(target)); got != 3 {
				b.Errorf("%s: %d calls", target, got)
			}
		}
	}},
	{"what is older than its retention is removed, with its attempts, and nothing else", func(b *bench) {
		n := b.begin(notify.Config{Retain: 24 * hour, RetainStopped: 72 * hour, Schedule: notify.Schedule{MaxAttempts: 1}})
		b.put(n, notify.Target{Name: "shop"})
		b.notify(n, "shop", "delivered")
		pass(time.Second)
		b.Answers(status(500))
		b.notify(n, "shop", "stopped")
		b.notify(n, "nobody", "held")
		there := func(target, id string, want bool) {
			b.Helper()
			if _, err := n.Get(ctx, target, id); (err == nil) != want {
				b.Errorf("%s after %s: %v", id, time.Since(b.began), err)
			}
			if attempts, err := n.Attempts(ctx, target, id); err != nil || want && target == "shop" && len(attempts) != 1 || !want && len(attempts) != 0 {
				b.Errorf("%s: %d attempts, %v", id, len(attempts), err)
			}
		}
		pass(23 * hour)
		there("shop", "delivered", true)
		pass(2 * hour)
		there("shop", "delivered", false)
		there("shop", "stopped", true)
		pass(72 * hour)
		there("shop", "stopped", false)
		there("nobody", "held", true)
		var tasks int
		b.must(b.db.QueryRow("SELECT COUNT(*) FROM " + b.prefix + "task").Scan(&tasks))
		if tasks != 0 {
			b.Errorf("%d tasks are left", tasks)
		}
	}},
}
