package scheduletest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

func (c *C) pending(group string, want bool) {
	got, err := c.Pending(background, nil, queue, target, group)
	if err != nil || got != want {
		c.fatalf("pending: %v, %v; want %v", got, err, want)
	}
}

var groupCases = []testCase{
	{"the tasks of a group become due one after another, in the order of adding", func(c *C) {
		c.pending("g", false)
		for _, key := range []string{"1", "2", "3"} {
			c.add(member(key, "g"))
			c.add(member("other"+key, "h"))
			s := member("elsewhere"+key, "g")
			s.Target = "points"
			c.add(s)
		}
		for _, key := range []string{"1", "2", "3"} {
			c.pending("g", true)
			tasks := c.want(request(10), key, "elsewhere"+key, "other"+key)
			c.want(request(10))
			for _, t := range tasks {
				c.settle(t, done)
			}
		}
		c.pending("g", false)
	}},
	{"whatever finishes a task lets the next of its group become due", func(c *C) {
		ends := []schedule.Status{schedule.Done, schedule.Dead, schedule.Cancelled, schedule.Expired}
		for _, end := range ends {
			c.add(member(string(end), "g"))
		}
		for _, end := range ends {
			c.settle(c.want(request(10), string(end))[0], schedule.Outcome{Status: end})
		}
	}},
	{"a task that is to run again, is released or has lost its lease goes on holding its group", func(c *C) {
		c.add(member("1", "g"))
		c.add(member("2", "g"))
		c.settle(c.want(request(10), "1")[0], later(time.Hour))
		c.want(request(10))
		c.Advance(time.Hour)
		c.must("release", c.Release(background, c.want(request(10), "1")[0]))
		c.want(request(10), "1")
		c.Advance(time.Hour)
		c.settle(c.want(request(10), "1")[0], done)
		c.want(request(10), "2")
	}},
	{"a task without hold is due beside its group, and those that come after wait for it too", func(c *C) {
		c.add(member("1", "g"))
		s := spec("free")
		s.Group = "g"
		c.add(s)
		c.add(member("3", "g"))
		tasks := c.want(request(10), "1", "free")
		c.settle(tasks[0], done)
		c.want(request(10)) // the third waits for the second, which is at work
		c.settle(tasks[1], done)
		c.settle(c.want(request(10), "3")[0], done)
		c.add(s)
		c.add(member("4", "g"))
		c.settle(c.want(request(10), "free")[0], done)
		c.want(request(10), "4")
	}},
	{"a task that is not the head finishes without letting another go", func(c *C) {
		c.add(member("1", "g"))
		s := spec("free")
		s.Group = "g"
		c.add(s)
		c.add(member("3", "g"))
		tasks := c.want(request(10), "1", "free")
		c.settle(tasks[1], done)
		c.want(request(10))
		c.settle(tasks[0], done)
		c.want(request(10), "3")
	}},
	{"a held task with a later time of its own keeps it", func(c *C) {
		c.add(member("1", "g"))
		s := member("2", "g")
		s.Delay = time.Hour
		c.add(s)
		c.settle(c.want(request(10), "1")[0], done)
		c.Advance(time.Hour - time.Millisecond)
		c.want(request(10))
		c.Advance(time.Millisecond)
		c.want(request(10), "2")
	}},
	{"a cancelled head lets the next go, a cancelled held task does not", func(c *C) {
		for _, key := range []string{"1", "2", "3", "4"} {
			c.add(member(key, "g"))
		}
		c.must("cancel", c.Cancel(background, c.find("2").ID))
		c.want(request(10), "1")
		c.must("cancel", c.Cancel(background, c.find("1").ID))
		c.settle(c.want(request(10), "3")[0], done)
		c.settle(c.want(request(10), "4")[0], done)
		c.pending("g", false)
	}},
	{"a settlement that rolls back lets nothing go", func(c *C) {
		c.add(member("1", "g"))
		c.add(member("2", "g"))
		t := c.want(request(10), "1")[0]
		tx := c.begin()
		c.must("settle", c.SettleTx(background, tx, t, done))
		c.must("roll back", tx.Rollback())
		c.want(request(10))
		if c.find("2").Status != schedule.Held {
			c.fatalf("the next is %s", c.find("2").Status)
		}
		tx = c.begin()
		c.must("settle", c.SettleTx(background, tx, t, done))
		c.must("commit", tx.Commit())
		c.want(request(10), "2")
	}},
}

var groupRaceCases = []testCase{
	{"a task that is added while the head finishes is not overlooked", func(c *C) {
		c.add(member("1", "g"))
		t := c.want(request(10), "1")[0]
		tx := c.begin()
		added, err := c.AddTx(background, tx, member("2", "g"))
		if err != nil || !added {
			_ = tx.Rollback()
			c.fatalf("add: %v, %v", added, err)
		}
		settled := make(chan error, 1)
		go func() { settled <- c.Settle(background, t, done) }()
		c.must("commit", tx.Commit())
		c.must("settle", <-settled)
		c.want(request(10), "2")
	}},
	{"a head that finishes while a task is added does not hold it", func(c *C) {
		c.add(member("1", "g"))
		t := c.want(request(10), "1")[0]
		tx := c.begin()
		if err := c.SettleTx(background, tx, t, done); err != nil {
			_ = tx.Rollback()
			c.fatalf("settle: %v", err)
		}
		added := make(chan error, 1)
		go func() {
			_, err := c.Add(background, member("2", "g"))
			added <- err
		}()
		c.must("commit", tx.Commit())
		c.must("add", <-added)
		c.want(request(10), "2")
	}},
	{"of tasks that are added to a group at once one is due", func(c *C) {
		const n = 12
		var wg sync.WaitGroup
		errs := make([]error, n)
		for i := range n {
			wg.Go(func() { _, errs[i] = c.Add(background, member(fmt.Sprint(i), "g")) })
		}
		wg.Wait()
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
			c.fatalf("add: %v", errs[i])
		}
		for range n {
			tasks := c.claim(request(n))
			if len(tasks) != 1 {
				c.fatalf("%d are due at once: %q", len(tasks), keysOf(tasks))
			}
			c.settle(tasks[0], done)
		}
		c.pending("g", false)
	}},
	{"additions, settlements and cancellations at once leave no group stuck", func(c *C) {
		const adders, each, groups = 4, 12, 3
		var wg sync.WaitGroup
		var mu sync.Mutex
		var errs []error
		note := func(err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		}
		for a := range adders {
			wg.Go(func() {
				for i := range each {
					s := member(fmt.Sprintf("%d-%d", a, i), fmt.Sprint("g", i%groups))
					s.Hold = i%4 != 3
					_, err := c.Add(background, s)
					note(err)
				}
			})
			wg.Go(func() {
				for range each {
					tasks, err := c.Claim(background, request(2))
					note(err)
					for i, t := range tasks {
						if i == 1 {
							note(c.Cancel(background, t.ID))
						} else {
							note(c.Settle(background, t, done))
						}
					}
				}
			})
		}
		wg.Wait()
		if len(errs) > 0 {
			c.fatalf("%v", errs)
		}
		for range adders * each {
			for _, t := range c.claim(request(100)) {
				c.settle(t, done)
			}
		}
		counts, err := c.Counts(background, queue)
		c.must("count", err)
		if left := counts.Of[schedule.Waiting] + counts.Of[schedule.Held]; left != 0 || counts.Of[schedule.Done]+counts.Of[schedule.Cancelled] != adders*each {
			c.fatalf("stuck: %v", counts.Of)
		}
	}},
}
