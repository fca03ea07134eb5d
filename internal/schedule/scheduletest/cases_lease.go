package scheduletest

import (
	"errors"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// refused checks that err is ErrInvalid and names the field.
func (c *C) refused(err error, field string) {
	if !errors.Is(err, schedule.ErrInvalid) || !strings.Contains(err.Error(), field) {
		c.fatalf("error %v, want one that names %s", err, field)
	}
}

func (c *C) is(what string, err, want error) {
	if !errors.Is(err, want) || (want == nil && err != nil) {
		c.fatalf("%s: error %v, want %v", what, err, want)
	}
}

// powerless checks that the claim of t is over.
func (c *C) powerless(t schedule.Task) {
	before := c.get(t.ID)
	c.is("extend", c.Extend(background, t, time.Hour), schedule.ErrStale)
	c.is("release", c.Release(background, t), schedule.ErrStale)
	c.is("settle again", c.Settle(background, t, later(0)), schedule.ErrStale)
	c.is("settle dead", c.Settle(background, t, schedule.Outcome{Status: schedule.Dead, State: []byte("stale")}), schedule.ErrStale)
	after := c.get(t.ID)
	if before.Status != after.Status || before.Fence != after.Fence || !before.Due.Equal(after.Due) || string(before.State) != string(after.State) {
		c.fatalf("a stale claim changed %+v into %+v", before, after)
	}
}

var leaseCases = []testCase{
	{"a claimed task is nobody else's until its lease ends", func(c *C) {
		c.add(spec("a"))
		first := c.want(request(1), "a")[0]
		c.Advance(lease - time.Millisecond)
		c.want(request(1))
		if !c.get(first.ID).Leased {
			c.fatalf("the task is not shown as leased")
		}
		c.Advance(time.Millisecond)
		if c.get(first.ID).Leased {
			c.fatalf("the task is shown as leased after its lease")
		}
		second := c.want(request(1), "a")[0]
		if second.Fence <= first.Fence || second.Attempts != first.Attempts || !second.Due.Equal(first.Due) {
			c.fatalf("%+v after %+v: want a higher fence, the same attempts and due time", second, first)
		}
		c.powerless(first)
		c.settle(second, done)
	}},
	{"an extended lease lasts from then on", func(c *C) {
		c.add(spec("a"))
		t := c.want(request(1), "a")[0]
		for range 5 {
			c.Advance(lease / 2)
			c.must("extend", c.Extend(background, t, lease))
			c.must("extend twice at one time", c.Extend(background, t, lease))
		}
		c.Advance(lease - time.Millisecond)
		c.want(request(1))
		c.Advance(time.Millisecond)
		c.want(request(1), "a")
		c.refused(c.Extend(background, t, 0), "lease")
	}},
	{"a claim whose lease ran out is its owner's while nobody has claimed since", func(c *C) {
		c.add(spec("a"))
		t := c.want(request(1), "a")[0]
		c.Advance(2 * lease)
		c.must("extend", c.Extend(background, t, lease))
		c.want(request(1))
		c.Advance(2 * lease)
		c.settle(t, done)
		c.want(request(1))
	}},
	{"a released task is as it was, in its old place", func(c *C) {
		for _, key := range []string{"a", "b"} {
			s := spec(key)
			s.Attempts, s.State, s.Error = 7, []byte("s"), "e"
			c.add(s)
			c.Advance(time.Second)
		}
		before := c.find("a")
		t := c.want(request(1), "a")[0]
		c.must("release", c.Release(background, t))
		c.powerless(t)
		after := c.want(request(2), "a", "b")[0]
		if after.Attempts != 7 || string(after.State) != "s" || after.Error != "e" || !after.Due.Equal(before.Due) {
			c.fatalf("%+v, want what it was", after)
		}
	}},
}
