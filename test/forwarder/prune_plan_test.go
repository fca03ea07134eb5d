package forwarder_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

const (
	keptRows = 200_000 // of the history; a tenth of them has failed
	overRows = 3_000   // whose retention is over, a third for each status
)

// fillHistory inserts by the database.
func fillHistory(t *testing.T, db *place.Database) {
	t.Helper()
	series := "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s) AS n"
	switch db.Dialect {
	case sqldialect.PostgreSQL:
		series = "generate_series(1, %d) AS n(n)"
	case sqldialect.MySQL:
		series = "(SELECT seq AS n FROM seq_1_to_%d) AS n"
	default:
	}
	now := time.Now().UnixMicro()
	insert := "INSERT INTO " + db.Table("outbox_history") +
		" (id, status, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts, created_at, settled_at) " +
		"SELECT %s, CASE n %% %d WHEN 0 THEN 'failed' WHEN 1 THEN 'expired' ELSE 'delivered' END, 'orders', 'k', 'u', 'x', '{}', '', '', 0, 0, %d + n FROM " + series
	db.Do(t, fmt.Sprintf(insert, "n", 10, now+time.Hour.Microseconds(), keptRows))
	db.Do(t, fmt.Sprintf(insert, "-n", 3, now-2*time.Hour.Microseconds(), overRows))
	place.Analyze(t, db.DB, db.Dialect, db.Table("outbox_history"))
}

// A prune that walked what it keeps would read the whole history each minute.
func TestWhatPrunesTheHistoryWalksAnIndex(t *testing.T) {
	place.EachWithSQLite(t, func(t *testing.T, db *place.Database) {
		fillHistory(t, db)
		pool, rec := db.Record(t)
		o, err := forwarder.New(pool, forwarder.Config{Prefix: db.Prefix, Dialect: db.Dialect})
		place.Must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		relay, err := o.NewRelay(&sink{}, forwarder.RelayConfig{Retain: time.Second, RetainFailed: time.Second})
		place.Must(t, err)
		ended := make(chan error, 1)
		go func() { ended <- relay.Run(ctx) }()
		history := db.Table("outbox_history")
		eventually(t, "what is over is removed", func() bool {
			var n int
			place.Must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+history+" WHERE id < 0").Scan(&n))
			return n == 0
		})
		stop()
		place.Must(t, <-ended)
		seen := map[string]int{}
		for query, args := range rec.Statements() {
			if !strings.Contains(query, history) {
				continue
			}
			verb, _, _ := strings.Cut(query, " ")
			seen[verb]++
			plans := []string{place.Explain(t, db.DB, db.Dialect, query, args...)}
			if db.Dialect == sqldialect.PostgreSQL {
				plans = append(plans, place.ExplainGeneric(t, db.DB, query, args...))
			}
			for _, plan := range plans {
				index := strings.Contains(plan, "outbox_history_settled") || strings.Contains(plan, "outbox_history_aside")
				// PostgreSQL may sort what the index has found, when that is few.
				for _, scan := range []string{"Seq Scan", "type=ALL", "type=index", "filesort", "SCAN ", "TEMP B-TREE"} {
					if !index || strings.Contains(plan, scan) {
						t.Errorf("%s:\n%s\n%v\n%s", scan, query, args, plan)
					}
				}
			}
		}
		if seen["SELECT"] < 3 || seen["DELETE"] < 3 {
			t.Errorf("this run shows too little: %v", seen)
		}
	})
}
