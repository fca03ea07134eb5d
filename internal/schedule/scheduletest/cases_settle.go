package scheduletest

import (
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

var settleCases = []testCase{
	{"a task that is to run again is due after the delay, with what the outcome says", func(c *C) {
		s := spec("a")
		s.State, s.Attempts = []byte("first"), 1
		c.add(s)
		t := c.want(request(1), "a")[0]
		c.settle(t, schedule.Outcome{Status: schedule.Waiting, Delay: 4 * time.Minute, Attempts: 2, Error: "no"})
		c.powerless(t)
		c.Advance(4*time.Minute - time.Millisecond)
		c.want(request(1))
		c.Advance(time.Millisecond)
		t = c.want(request(1), "a")[0]
		if t.Attempts != 2 || t.Error != "no" || string(t.State) != "first" || !t.Due.Equal(c.Now()) {
			c.fatalf("%+v: want 2 attempts, the error, the old state", t)
		}
		c.settle(t, schedule.Outcome{Status: schedule.Waiting, Attempts: 2, State: []byte("second")})
		t = c.want(request(1), "a")[0]
		if t.Attempts != 2 || t.Error != "" || string(t.State) != "second" {
			c.fatalf("%+v: want 2 attempts, no error, the new state", t)
		}
		c.settle(t, schedule.Outcome{Status: schedule.Done, Attempts: 3, State: []byte{}})
		if t = c.get(t.ID); len(t.State) != 0 || t.Attempts != 3 {
			c.fatalf("state %q, %d attempts: want none, 3", t.State, t.Attempts)
		}
	}},
	{"a task that failed goes behind those that are due", func(c *C) {
		for _, key := range []string{"bad", "good"} {
			c.add(spec(key))
			c.Advance(time.Millisecond)
		}
		t := c.want(request(1), "bad")[0]
		c.settle(t, later(0))
		c.want(request(2), "good", "bad")
	}},
	{"a task is due again when its delay is over, lease or not", func(c *C) {
		c.add(spec("a"))
		c.settle(c.want(request(1), "a")[0], later(lease)) // where the due time is the lease's end
		c.Advance(lease)
		c.want(request(1), "a")
	}},
	{"a finished task is never claimed, and its claim is over", func(c *C) {
		for _, end := range []schedule.Status{schedule.Done, schedule.Dead, schedule.Cancelled, schedule.Expired} {
			c.add(spec(string(end)))
			t := c.want(request(1), string(end))[0]
			c.Advance(time.Second)
			c.settle(t, schedule.Outcome{Status: end, Attempts: 4, Error: "why"})
			c.powerless(t)
			got := c.get(t.ID)
			if got.Status != end || got.Attempts != 4 || got.Error != "why" || !got.FinishedAt.Equal(c.Now()) || got.Leased {
				c.fatalf("%+v, want %s", got, end)
			}
		}
		c.Advance(1000 * time.Hour)
		c.want(request(10))
	}},
	{"a settlement in the caller's transaction holds once that commits", func(c *C) {
		for _, group := range []string{"", "g"} {
			s := spec("a" + group)
			s.Group = group
			c.add(s)
			t := c.claim(request(1))[0]
			tx := c.begin()
			c.must("settle", c.SettleTx(background, tx, t, done))
			c.must("roll back", tx.Rollback())
			if got := c.get(t.ID); got.Status != schedule.Waiting || got.Fence != t.Fence {
				c.fatalf("%+v after the rollback", got)
			}
			tx = c.begin()
			c.must("settle", c.SettleTx(background, tx, t, done))
			c.is("settle again", c.SettleTx(background, tx, t, done), schedule.ErrStale)
			c.must("commit", tx.Commit())
			if got := c.get(t.ID); got.Status != schedule.Done {
				c.fatalf("%+v after the commit", got)
			}
		}
	}},
	{"an outcome that makes no sense is refused with its field named, and the claim goes on", func(c *C) {
		c.add(spec("a"))
		t := c.want(request(1), "a")[0]
		for field, o := range map[string]schedule.Outcome{
			"Status":   {},
			"Delay":    {Status: schedule.Done, Delay: 1},
			"Attempts": {Status: schedule.Done, Attempts: -1},
			"State":    {Status: schedule.Done, State: make([]byte, schedule.MaxState+1)},
		} {
			c.refused(c.Settle(background, t, o), "Outcome."+field)
		}
		c.refused(c.Settle(background, t, schedule.Outcome{Status: schedule.Held}), "Outcome.Status")
		c.settle(t, done)
	}},
}
