package scheduletest

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

var addCases = []testCase{
	{"a task is due after its delay and not before", func(c *C) {
		s := spec("a")
		s.Delay = 10 * time.Minute
		c.add(s)
		c.Advance(10*time.Minute - time.Millisecond)
		c.want(request(1))
		c.Advance(time.Millisecond)
		if t := c.want(request(1), "a")[0]; !t.Due.Equal(c.Now()) {
			c.fatalf("due at %v, want %v", t.Due, c.Now())
		}
	}},
	{"a task is due at its own time, and at once where that is past", func(c *C) {
		s := spec("future")
		s.Due = c.Now().Add(time.Hour)
		c.add(s)
		s = spec("past")
		s.Due = c.Now().Add(-time.Hour)
		c.add(s)
		c.want(request(10), "past")
		c.Advance(time.Hour)
		c.want(schedule.ClaimRequest{Queue: queue, Limit: 10, Lease: lease, Not: []string{"other"}}, "past", "future")
	}},
	{"a key is unique among the unfinished tasks of queue and target", func(c *C) {
		c.add(spec("a"))
		if added, err := c.Add(background, spec("a")); added || err != nil {
			c.fatalf("a second task of the key: %v, %v", added, err)
		}
		elsewhere := spec("a")
		elsewhere.Target = "points"
		c.add(elsewhere)
		elsewhere.Queue = "notify"
		c.add(elsewhere)
		tasks := c.claim(request(1))
		if added, err := c.Add(background, spec("a")); added || err != nil {
			c.fatalf("a second task of the key, with the first at work: %v, %v", added, err)
		}
		c.settle(tasks[0], later(time.Hour))
		if added, err := c.Add(background, spec("a")); added || err != nil {
			c.fatalf("a second task of the key, with the first to run again: %v, %v", added, err)
		}
		for _, end := range []schedule.Status{schedule.Done, schedule.Dead, schedule.Cancelled, schedule.Expired} {
			s := spec(string(end))
			s.Queue = "ends"
			for range 2 {
				c.add(s)
				t := c.claim(schedule.ClaimRequest{Queue: "ends", Limit: 1, Lease: lease})[0]
				c.settle(t, schedule.Outcome{Status: end})
			}
		}
	}},
	{"of concurrent additions of a key one adds", func(c *C) {
		for _, group := range []string{"", "g"} {
			var wg sync.WaitGroup
			var added atomic.Int32
			var failed atomic.Value
			s := spec("same" + group)
			s.Group = group
			for range 8 {
				wg.Go(func() {
					ok, err := c.Add(background, s)
					if err != nil {
						failed.Store(err)
					}
					if ok {
						added.Add(1)
					}
				})
			}
			wg.Wait()
			if err := failed.Load(); err != nil || added.Load() != 1 {
				c.fatalf("%d were added, %v", added.Load(), err)
			}
		}
	}},
	{"what a task holds comes back byte by byte", func(c *C) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		s := schedule.Spec{
			Queue: queue, Target: "目标", Key: "ключ", Group: "群", Payload: bytes.Repeat(all, 4096), State: all,
			Attempts: 3, Error: "bad \x00 \xff bytes " + strings.Repeat("é", 4096),
		}
		c.add(s)
		t := c.claim(request(1))[0]
		if t.Queue != s.Queue || t.Target != s.Target || t.Key != s.Key || t.Group != s.Group || t.Attempts != 3 ||
			!bytes.Equal(t.Payload, s.Payload) || !bytes.Equal(t.State, s.State) || t.Status != schedule.Waiting || !t.Leased || t.Fence < 1 {
			c.fatalf("got %s/%s/%s/%s, %d attempts, %d and %d bytes, %s", t.Queue, t.Target, t.Key, t.Group, t.Attempts, len(t.Payload), len(t.State), t.Status)
		}
		if !strings.HasPrefix(t.Error, "bad \uFFFD \uFFFD bytes é") || len(t.Error) > 4096 {
			c.fatalf("error of %d bytes: %.40q", len(t.Error), t.Error)
		}
		if !t.CreatedAt.Equal(c.Now()) || !t.FinishedAt.IsZero() {
			c.fatalf("created %v, finished %v", t.CreatedAt, t.FinishedAt)
		}
	}},
	{"keys and groups of any bytes and length are told apart", func(c *C) {
		for _, s := range []string{strings.Repeat("x", 300), strings.Repeat("x", 301), "\x00", "\xff", "A", "a", "a ", "ä"} {
			m := spec(s)
			m.Group = "group" + s
			c.add(m)
			if added, err := c.Add(background, m); added || err != nil {
				c.fatalf("key %.10q twice: %v, %v", s, added, err)
			}
			t := c.find(s)
			if again := c.find(t.Key); again.ID != t.ID {
				c.fatalf("key %.10q as it is kept is another", s)
			}
			if ok, err := c.Pending(background, nil, queue, target, "group"+s); !ok || err != nil {
				c.fatalf("group of key %.10q: %v, %v", s, ok, err)
			}
		}
	}},
	{"a task is there once the caller's transaction commits, and not where it rolls back", func(c *C) {
		for _, group := range []string{"", "g"} {
			tx := c.begin()
			s := spec("rolled back" + group)
			s.Group = group
			if added, err := c.AddTx(background, tx, s); !added || err != nil {
				c.fatalf("add: %v, %v", added, err)
			}
			c.must("roll back", tx.Rollback())
			c.want(request(10))
			tx = c.begin()
			s.Key = "committed" + group
			if added, err := c.AddTx(background, tx, s); !added || err != nil {
				c.fatalf("add: %v, %v", added, err)
			}
			if added, err := c.AddTx(background, tx, s); added || err != nil {
				c.fatalf("add again in the same transaction: %v, %v", added, err)
			}
			c.must("commit", tx.Commit())
			c.want(request(10), s.Key)
		}
	}},
	{"what cannot be added is refused with its field named, and nothing is there", func(c *C) {
		for field, change := range map[string]func(*schedule.Spec){
			"Queue":    func(s *schedule.Spec) { s.Queue = "" },
			"Target":   func(s *schedule.Spec) { s.Target = strings.Repeat("x", 256) },
			"Key":      func(s *schedule.Spec) { s.Key = "" },
			"Hold":     func(s *schedule.Spec) { s.Hold = true },
			"State":    func(s *schedule.Spec) { s.State = make([]byte, schedule.MaxState+1) },
			"Attempts": func(s *schedule.Spec) { s.Attempts = -1 },
			"Delay":    func(s *schedule.Spec) { s.Delay = -1 },
			"Due":      func(s *schedule.Spec) { s.Due, s.Delay = c.Now(), 1 },
		} {
			s := spec("bad")
			change(&s)
			added, err := c.Add(background, s)
			if added || !errors.Is(err, schedule.ErrInvalid) || !strings.Contains(err.Error(), "Spec."+field) {
				c.fatalf("a bad %s: %v, %v", field, added, err)
			}
		}
		c.want(request(10))
	}},
}
