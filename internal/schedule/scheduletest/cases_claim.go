package scheduletest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// crowd is more tasks than a claim looks at.
const crowd = 300

// fill adds n tasks of a target, due at once.
func (c *C) fill(target string, n int) {
	tx := c.begin()
	for i := range n {
		s := spec(fmt.Sprintf("%s-%03d", target, i))
		s.Target = target
		if added, err := c.AddTx(background, tx, s); err != nil || !added {
			_ = tx.Rollback()
			c.fatalf("add %q: %v, %v", s.Key, added, err)
		}
	}
	c.must("commit", tx.Commit())
}

var claimCases = []testCase{
	{"tasks come in the order in which they are due, then of adding", func(c *C) {
		for i, key := range []string{"third", "second", "first"} {
			s := spec(key)
			s.Delay = time.Duration(3-i) * time.Minute
			c.add(s)
		}
		for _, key := range []string{"fourth", "fifth"} {
			s := spec(key)
			s.Delay = 4 * time.Minute
			c.add(s)
		}
		c.Advance(time.Hour)
		c.want(request(2), "first", "second")
		c.want(request(10), "third", "fourth", "fifth")
		c.want(request(10))
	}},
	{"only the queue and the targets that were asked for are claimed", func(c *C) {
		for _, name := range []string{"a", "b", "c"} {
			s := spec(name)
			s.Target = name
			c.add(s)
			s.Queue = "other"
			c.add(s)
		}
		r := request(10)
		r.Targets = []string{"b", "b", "none"}
		c.want(r, "b")
		r = request(10)
		r.Not = []string{"a"}
		c.want(r, "c")
		r.Not, r.Targets = []string{"a"}, []string{"a"}
		c.want(r)
		c.want(request(10), "a")
	}},
	{"a target with many due tasks takes turns with the others", func(c *C) {
		c.fill("many", crowd)
		c.Advance(time.Second)
		c.fill("few", 2)
		tasks := c.claim(request(4))
		want := []string{"many-000", "few-000", "many-001", "few-001"}
		if got := keysOf(tasks); !slices.Equal(got, want) {
			c.fatalf("claimed %q, want %q", got, want)
		}
	}},
	{"a target that is passed over hides no other", func(c *C) {
		c.fill("many", crowd)
		c.Advance(time.Second)
		c.fill("good", 1)
		r := request(10)
		r.Not = []string{"many"}
		c.want(r, "good-000")
	}},
	{"a target that is full hides no other, and one with room gets as much as that", func(c *C) {
		c.fill("full", crowd)
		c.fill("room", crowd)
		c.fill("good", 1)
		r := request(10)
		r.PerTarget, r.Running = 3, map[string]int{"full": 3, "room": 1}
		c.want(r, "good-000", "room-000", "room-001")
	}},
	{"targets with fewer tasks at work come first", func(c *C) {
		c.fill("busy", 3)
		c.Advance(time.Second)
		c.fill("idle", 3)
		r := request(3)
		r.Running = map[string]int{"busy": 2}
		c.want(r, "idle-000", "idle-001", "busy-000")
	}},
	{"more targets than a claim looks at one by one all get their turn", func(c *C) {
		tx := c.begin()
		for i := range crowd {
			for _, key := range []string{"x", "y"} {
				s := spec(key)
				s.Target = fmt.Sprintf("partner-%03d", i)
				_, err := c.AddTx(background, tx, s)
				c.must("add", err)
			}
		}
		c.must("commit", tx.Commit())
		seen := map[string]int{}
		for range 2*crowd/50 + 4 {
			for _, t := range c.claim(request(50)) {
				c.settle(t, later(time.Hour))
				seen[t.Target]++
			}
		}
		if len(seen) != crowd {
			c.fatalf("%d of %d targets had a turn", len(seen), crowd)
		}
		for name, n := range seen {
			if n != 2 {
				c.fatalf("%s had %d of its 2 tasks claimed", name, n)
			}
		}
	}},
	{"who claims at the same time gets other tasks, and together all", func(c *C) {
		const total, claimers = 200, 8
		c.fill("a", total/2)
		c.fill("b", total/2)
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			seen = map[int64]int{}
			errs []error
		)
		for range claimers {
			wg.Go(func() {
				for {
					tasks, err := c.Claim(background, request(10))
					mu.Lock()
					for _, t := range tasks {
						seen[t.ID]++
					}
					if err != nil {
						errs = append(errs, err)
					}
					mu.Unlock()
					if err != nil || len(tasks) == 0 {
						return
					}
				}
			})
		}
		wg.Wait()
		for _, t := range c.claim(request(total)) { // what was in others' hands while each looked
			seen[t.ID]++
		}
		if len(errs) > 0 || len(seen) != total {
			c.fatalf("%d of %d tasks were claimed, %v", len(seen), total, errs)
		}
		for id, n := range seen {
			if n != 1 {
				c.fatalf("task %d was claimed %d times", id, n)
			}
		}
	}},
	{"a request that makes no sense is refused with its field named", func(c *C) {
		for field, change := range map[string]func(*schedule.ClaimRequest){
			"Queue":     func(r *schedule.ClaimRequest) { r.Queue = "" },
			"Limit":     func(r *schedule.ClaimRequest) { r.Limit = 0 },
			"Lease":     func(r *schedule.ClaimRequest) { r.Lease = 0 },
			"PerTarget": func(r *schedule.ClaimRequest) { r.PerTarget = -1 },
		} {
			r := request(1)
			change(&r)
			_, err := c.Claim(background, r)
			c.refused(err, "ClaimRequest."+field)
		}
	}},
}
