package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// One operation is one task: claimed with 15 others, and settled by itself.
func BenchmarkClaimAndSettle(b *testing.B) {
	db := sqlitetest.Migrate(b, sqlitetest.Open(b))
	s, err := schedule.New(db, schedule.Config{})
	must(b, err)
	for i := range b.N {
		_, err := s.Add(b.Context(), schedule.Spec{Queue: queue, Target: fmt.Sprint(i % 4), Key: fmt.Sprint(i), Payload: make([]byte, 500)})
		must(b, err)
	}
	b.ResetTimer()
	for left := b.N; left > 0; {
		tasks, err := s.Claim(b.Context(), schedule.ClaimRequest{Queue: queue, Limit: 16, Lease: time.Minute})
		must(b, err)
		for _, t := range tasks {
			must(b, s.Settle(b.Context(), t, schedule.Outcome{Status: schedule.Done}))
		}
		if left -= len(tasks); len(tasks) == 0 {
			b.Fatalf("%d are left", left)
		}
	}
}
