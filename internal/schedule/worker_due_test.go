package schedule_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// What a settlement makes due is due then, however long the worker would have slept.

func TestATaskThatComesBackBeforeTheNextPollIsOnTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome {
			c.note(t)
			if t.Attempts < 2 {
				return again(t, 3*time.Second)
			}
			return done
		}, schedule.WorkerConfig{PollMax: time.Hour})
		b.add(schedule.Spec{Key: "a", Delay: time.Second})
		pass(2 * time.Hour)
		at := c.of("a")
		if len(at) != 3 || !near(at[1], at[0]+3*time.Second) || !near(at[2], at[0]+6*time.Second) {
			t.Errorf("worked at %v, want every 3 s", at)
		}
	})
}

func TestThoseOfAGroupFollowEachOtherAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		t.Helper()
		c := b.calls()
		const n = 50
		for i := range n {
			b.add(schedule.Spec{Key: fmt.Sprint(i), Group: "g", Hold: true})
		}
		b.start(func(_ context.Context, t schedule.Task) schedule.Outcome { c.note(t); return done }, schedule.WorkerConfig{PollMax: time.Hour})
		pass(time.Minute)
		if at := c.of(fmt.Sprint(n - 1)); len(at) != 1 || at[0] > time.Second {
			t.Errorf("the last of %d was worked at %v, want at once", n, at)
		}
	})
}
