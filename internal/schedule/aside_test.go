package schedule_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

func TestWhoWaitsForOthersKeepsNobodyFromRunning(t *testing.T) {
	for name, c := range map[string]struct {
		aside int
		want  time.Duration // when the last of 40 began
	}{"aside": {40, 0}, "to a bound": {18, 10 * time.Second}, "not aside": {0, 90 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				for i := range 40 {
					b.add(schedule.Spec{Target: fmt.Sprint(i), Key: "k"})
				}
				seen, working, most := b.calls(), atomic.Int64{}, atomic.Int64{}
				_, stop := b.start(func(ctx context.Context, task schedule.Task) schedule.Outcome {
					seen.note(task)
					back := schedule.Aside(ctx)
					<-time.After(10 * time.Second)
					back()
					most.Store(max(most.Load(), working.Add(1)))
					<-time.After(time.Second / 10)
					working.Add(-1)
					if task.Target == "7" {
						panic("after it came back")
					}
					return done
				}, schedule.WorkerConfig{Concurrency: 4, PerTarget: 1, Aside: c.aside})
				pass(5 * time.Minute)
				stop()
				last := seen.of("k")[39] // what comes after is "7" again
				if last < c.want || last > c.want+5*time.Second {
					t.Errorf("the last began after %s, want about %s", last, c.want)
				}
				if most.Load() > 4 {
					t.Errorf("%d had a place", most.Load())
				}
			})
		})
	}
}

func TestAPanicWhileAsideLosesNoPlace(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for i := range 8 {
			b.add(schedule.Spec{Target: fmt.Sprint(i), Key: "k"})
		}
		var running, most atomic.Int64
		_, stop := b.start(func(ctx context.Context, task schedule.Task) schedule.Outcome {
			if task.Attempts == 0 {
				schedule.Aside(ctx)
				schedule.Aside(ctx) // once is enough
				panic("aside")
			}
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-time.After(time.Second)
			return done
		}, schedule.WorkerConfig{Concurrency: 2, PerTarget: 1, Aside: 8})
		pass(10 * time.Minute)
		stop()
		if most.Load() != 2 {
			t.Errorf("%d ran at a time, want 2", most.Load())
		}
		if c, err := b.Counts(context.Background(), queue); err != nil || c.Of[schedule.Done] != 8 {
			t.Errorf("%v, %v", c.Of, err)
		}
	})
}

func TestAsideOutsideOfAHandlerDoesNothing(*testing.T) { schedule.Aside(context.Background())() }
