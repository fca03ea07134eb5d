package schedule_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

// One operation is one task: claimed with 15 others, and settled by itself.
func BenchmarkClaimAndSettle(b *testing.B) {
	for name, d := range map[string]sqldialect.Dialect{
		"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL, "SQLite": sqldialect.SQLite,
	} {
		b.Run(name, func(b *testing.B) {
			db := place.Open(b, d)
			s, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix})
			place.Must(b, err)
			ctx := context.Background()
			tx, err := db.BeginTx(ctx, d.TxOptions())
			place.Must(b, err)
			for i := range b.N {
				_, err := s.AddTx(ctx, tx, schedule.Spec{Queue: queue, Target: fmt.Sprint(i % 4), Key: fmt.Sprint(i), Payload: make([]byte, 500)})
				place.Must(b, err)
			}
			place.Must(b, tx.Commit())
			b.ResetTimer()
			for left := b.N; left > 0; {
				tasks, err := s.Claim(ctx, schedule.ClaimRequest{Queue: queue, Limit: 16, Lease: time.Minute})
				place.Must(b, err)
				for _, t := range tasks {
					place.Must(b, s.Settle(ctx, t, schedule.Outcome{Status: schedule.Done}))
				}
				if left -= len(tasks); len(tasks) == 0 {
					b.Fatalf("%d are left", left)
				}
			}
		})
	}
}
