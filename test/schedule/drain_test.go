package schedule_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/test/place"
)

// drain claims what is due with several claimers, batch by batch, finishing a few
// of each in one transaction, and returns how often each task was claimed and
// how long the claims took.
func drain(t *testing.T, db *place.Database, s *schedule.Schedule, claimers int) (map[int64]int, []time.Duration) {
	t.Helper()
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		seen  = make(map[int64]int, many(db))
		took  []time.Duration
		first error
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range claimers {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				tasks, err := s.Claim(ctx, schedule.ClaimRequest{Queue: queue, Limit: 1000, Lease: time.Hour})
				claimed := time.Since(began)
				if err == nil && len(tasks) > 0 {
					err = finish(ctx, db, s, tasks[:min(len(tasks), 20)])
				}
				mu.Lock()
				took = append(took, claimed)
				for _, task := range tasks {
					seen[task.ID]++
				}
				if err != nil && first == nil {
					first = err
				}
				mu.Unlock()
				if err != nil || len(tasks) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	place.Must(t, first)
	return seen, took
}

func finish(ctx context.Context, db *place.Database, s *schedule.Schedule, tasks []schedule.Task) error {
	tx, err := db.BeginTx(ctx, db.Dialect.TxOptions())
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if err := s.SettleTx(ctx, tx, task, schedule.Outcome{Status: schedule.Done}); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}

// drains checks that all that is due is claimed, each task once.
func drains(t *testing.T, db *place.Database) {
	t.Helper()
	s, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix})
	place.Must(t, err)
	before, err := s.Counts(t.Context(), queue)
	place.Must(t, err)
	began := time.Now()
	seen, took := drain(t, db, s, 2)
	if before.Due < int64(many(db))-100 || int64(len(seen)) != before.Due {
		t.Errorf("%d tasks were claimed of %d due, want all", len(seen), before.Due)
	}
	for id, n := range seen {
		if n != 1 {
			t.Fatalf("task %d was claimed %d times", id, n)
		}
	}
	sorted := slices.Sorted(slices.Values(took))
	t.Logf("%d tasks in %v; a claim of 1000 took %v at the median, %v at most",
		len(seen), time.Since(began).Round(time.Millisecond), sorted[len(sorted)/2], sorted[len(sorted)-1])
}
