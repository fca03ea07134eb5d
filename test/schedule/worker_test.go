package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/test/place"
)

// Eight workers, by the database's own clock: each task fails once, and each group
// is to be worked in the order of adding.
func TestEightWorkersTryEachTaskOnceForEachDueTimeAndKeepTheOrderOfGroups(t *testing.T) {
	const groups, each = 20, 4
	place.EachWithSQLite(t, func(t *testing.T, db *place.Database) {
		s, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix})
		place.Must(t, err)
		for i := range each {
			for g := range groups {
				added, err := s.Add(t.Context(), schedule.Spec{
					Queue: queue, Target: fmt.Sprint(g % 3), Key: fmt.Sprintf("%d-%d", g, i), Group: fmt.Sprint(g), Hold: true,
				})
				if err != nil || !added {
					t.Fatal(added, err)
				}
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var (
			mu    sync.Mutex
			calls []string
			ended int
		)
		handler := func(_ context.Context, task schedule.Task) schedule.Outcome {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, task.Key)
			if task.Attempts == 0 {
				return schedule.Outcome{Status: schedule.Waiting, Delay: 20 * time.Millisecond, Attempts: 1}
			}
			if ended++; ended == groups*each {
				stop()
			}
			return schedule.Outcome{Status: schedule.Done, Attempts: 2}
		}
		var wg sync.WaitGroup
		for range 8 {
			w, err := schedule.NewWorker(s, queue, handler, schedule.WorkerConfig{
				Concurrency: 4, PollMin: 5 * time.Millisecond, PollMax: 50 * time.Millisecond, Jitter: schedule.NoJitter,
			})
			place.Must(t, err)
			wg.Go(func() {
				if err := w.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(calls) != 2*groups*each || ended != groups*each {
			t.Errorf("%d calls and %d ends, want %d and %d", len(calls), ended, 2*groups*each, groups*each)
		}
		at := map[string]int{}
		for _, key := range calls {
			var g, i int
			_, err := fmt.Sscanf(key, "%d-%d", &g, &i)
			place.Must(t, err)
			if want := at[fmt.Sprint(g)] / 2; i != want {
				t.Fatalf("group %d: task %d was called in the place of task %d", g, i, want)
			}
			at[fmt.Sprint(g)]++
		}
		counts, err := s.Counts(t.Context(), queue)
		if place.Must(t, err); counts.Of[schedule.Done] != groups*each {
			t.Errorf("%v, want all done", counts.Of)
		}
	})
}
