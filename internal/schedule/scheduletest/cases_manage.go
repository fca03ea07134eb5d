package scheduletest

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// replace replaces a task in a transaction of its own.
func (c *C) replace(s schedule.Spec, may func(schedule.Task) bool, want bool) {
	tx := c.begin()
	defer func() { _ = tx.Rollback() }()
	replaced, err := c.Replace(background, dbtx.SQL(tx), s, may)
	c.must("replace "+s.Key, err)
	if replaced != want {
		c.fatalf("replaced %s: %v, want %v", s.Key, replaced, want)
	}
	c.must("commit", tx.Commit())
}

var manageCases = []testCase{
	{"a task is found by its number, and by its key while it is unfinished", func(c *C) {
		c.add(spec("a"))
		t := c.find("a")
		if got := c.get(t.ID); got.Key != "a" || string(got.Payload) != "payload of a" {
			c.fatalf("got %+v", got)
		}
		c.settle(c.want(request(1), "a")[0], done)
		_, err := c.Find(background, queue, target, "a")
		c.is("find", err, schedule.ErrNotFound)
		_, err = c.Get(background, t.ID+1000)
		c.is("get", err, schedule.ErrNotFound)
	}},
	{"a task that is run now is due at once", func(c *C) {
		s := spec("a")
		s.Delay, s.Attempts = time.Hour, 5
		c.add(s)
		id := c.find("a").ID
		c.must("run now", c.RunNow(background, id))
		c.must("run now twice", c.RunNow(background, id))
		t := c.want(request(1), "a")[0]
		if t.Attempts != 5 {
			c.fatalf("%d attempts, want 5", t.Attempts)
		}
		c.is("run now", c.RunNow(background, id), schedule.ErrLeased)
		c.settle(t, later(time.Hour))
		c.must("run now", c.RunNow(background, id))
		c.settle(c.want(request(1), "a")[0], done)
		c.is("run now", c.RunNow(background, id), schedule.ErrFinished)
		c.is("run now", c.RunNow(background, id+1000), schedule.ErrNotFound)
		c.add(member("1", "g"))
		c.add(member("2", "g"))
		c.is("run now", c.RunNow(background, c.find("2").ID), schedule.ErrHeld)
	}},
	{"a task that is replaced begins again, in its place and only if it may", func(c *C) {
		c.add(member("1", "g"))
		c.add(member("2", "g"))
		c.settle(c.want(request(1), "1")[0], schedule.Outcome{Status: schedule.Waiting, Delay: time.Hour, Attempts: 9, State: []byte("old"), Error: "refused"})
		anew := schedule.Spec{Queue: queue, Target: target, Key: "1", Payload: []byte("changed"), Error: "again", Attempts: 1}
		may := func(t schedule.Task) bool { return string(t.State) == "old" && t.Attempts == 9 }
		for key, ok := range map[string]func(schedule.Task) bool{"1": func(schedule.Task) bool { return false }, "2": may, "none": may} {
			s := anew
			s.Key = key
			c.replace(s, ok, false)
		}
		c.want(request(10))
		c.replace(anew, may, true)
		t := c.want(request(10), "1")[0]
		if string(t.Payload) != "changed" || len(t.State) > 0 || t.Error != "again" || t.Attempts != 1 || t.Group != "g" {
			c.fatalf("replaced by %+v", t)
		}
		anything := func(schedule.Task) bool { return true }
		c.replace(anew, anything, false) // a worker has it
		c.settle(t, done)
		c.replace(anew, anything, false) // it is finished
		c.want(request(10), "2")
	}},
	{"who has a task that is replaced after the lease has no power over it", func(c *C) {
		c.add(spec("a"))
		t := c.want(request(1), "a")[0]
		c.Advance(2 * lease)
		c.replace(spec("a"), func(schedule.Task) bool { return true }, true)
		c.powerless(t)
	}},
	{"a cancelled task is not claimed, and who has it learns of that", func(c *C) {
		c.add(spec("a"))
		c.add(spec("b"))
		t := c.want(request(1), "a")[0]
		c.must("cancel", c.Cancel(background, t.ID))
		c.powerless(t)
		c.must("cancel", c.Cancel(background, c.find("b").ID))
		c.want(request(10))
		if got := c.get(t.ID); got.Status != schedule.Cancelled {
			c.fatalf("status %s", got.Status)
		}
		c.is("cancel", c.Cancel(background, t.ID), schedule.ErrFinished)
		c.is("cancel", c.Cancel(background, t.ID+1000), schedule.ErrNotFound)
		c.add(spec("a"))
	}},
	{"lists are filtered, paged and newest first", func(c *C) {
		for i := range 7 {
			c.add(spec(fmt.Sprint("k", i)))
		}
		s := member("m", "g")
		s.Target = "points"
		c.add(s)
		for _, i := range []int{4, 2, 3} {
			c.Advance(time.Second)
			c.must("cancel", c.Cancel(background, c.find(fmt.Sprint("k", i)).ID))
		}
		for want, f := range map[string]schedule.Filter{
			"[m k6 k5 k4 k3 k2 k1 k0]": {},
			"[m k6 k5 k1 k0]":          {Status: schedule.Waiting},
			"[k3 k2 k4]":               {Status: schedule.Cancelled},
			"[m]":                      {Target: "points"},
			"[k5]":                     {Key: "k5"},
			"[]":                       {Key: "none"},
		} {
			for _, limit := range []int{0, 1, 2} {
				f.Queue, f.Limit, f.After = queue, limit, schedule.Task{}
				got := []string{}
				for {
					page, err := c.List(background, f)
					c.must("list", err)
					got = append(got, keysOf(page)...)
					if limit == 0 || len(page) < limit {
						break
					}
					f.After = page[len(page)-1]
				}
				if fmt.Sprint(got) != want {
					c.fatalf("%+v: %v, want %s", f, got, want)
				}
			}
		}
		if page, err := c.List(background, schedule.Filter{Queue: queue, Group: "g"}); err != nil || fmt.Sprint(keysOf(page)) != "[m]" {
			c.fatalf("group: %v, %v", keysOf(page), err)
		}
		_, err := c.List(background, schedule.Filter{Queue: queue, Status: "x"})
		c.refused(err, "Filter.Status")
	}},
	{"counts tell what stands where, and what is due", func(c *C) {
		for i := range 5 {
			s := spec(fmt.Sprint(i))
			s.Delay = time.Duration(i) * time.Minute
			c.add(s)
		}
		c.add(member("1h", "g"))
		c.add(member("2h", "g"))
		first := c.Now().Add(time.Minute)
		c.settle(c.want(request(1), "0")[0], done)
		c.settle(c.want(request(1), "1h")[0], later(time.Hour))
		c.Advance(150 * time.Second)
		got, err := c.Counts(background, queue)
		c.must("count", err)
		want := map[schedule.Status]int64{schedule.Waiting: 5, schedule.Held: 1, schedule.Done: 1}
		if fmt.Sprint(got.Of) != fmt.Sprint(want) || got.Due != 2 || !got.Oldest.Equal(first) {
			c.fatalf("%+v, want %v, 2 due, the first at %v", got, want, first)
		}
		if got, err := c.Counts(background, "none"); err != nil || len(got.Of) != 0 || got.Due != 0 || !got.Oldest.IsZero() {
			c.fatalf("an unknown queue: %+v, %v", got, err)
		}
	}},
	{"pruning removes old finished tasks in batches, and nothing else", func(c *C) {
		for i := range 12 {
			c.add(spec(fmt.Sprint(i)))
		}
		for i, t := range c.claim(request(11)) {
			end := schedule.Done
			if i >= 6 {
				end = schedule.Dead
			}
			c.settle(t, schedule.Outcome{Status: end})
		}
		c.Advance(time.Hour)
		c.add(spec("young"))
		c.must("cancel", c.Cancel(background, c.find("young").ID))
		other := spec("other")
		other.Queue = "other"
		c.add(other)
		r := schedule.PruneRequest{Queue: queue, OlderThan: time.Hour, Batch: 4}
		for _, want := range []int64{4, 2, 0} {
			if n, err := c.Prune(background, r); err != nil || n != want {
				c.fatalf("pruned %d, %v; want %d", n, err, want)
			}
		}
		r.Statuses = []schedule.Status{schedule.Cancelled, schedule.Dead}
		for _, want := range []int64{4, 1, 0} {
			if n, err := c.Prune(background, r); err != nil || n != want {
				c.fatalf("pruned %d dead, %v; want %d", n, err, want)
			}
		}
		list, err := c.List(background, schedule.Filter{Queue: queue})
		if keys := keysOf(list); err != nil || !slices.Equal(keys, []string{"young", "11"}) {
			c.fatalf("left are %q, %v", keys, err)
		}
		_, err = c.Prune(background, schedule.PruneRequest{Queue: queue, Statuses: []schedule.Status{schedule.Waiting}})
		c.refused(err, "PruneRequest.Statuses")
	}},
}
