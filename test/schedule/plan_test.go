package schedule_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

const (
	queue = "park"
	// largeVariable has 100,000 tasks due on every database; without it that is
	// PostgreSQL, which scans a small table whatever its indexes.
	largeVariable = "SLUICEGATE_TEST_LARGE"
)

// many is how many tasks are due while plans are looked at.
func many(db *place.Database) int {
	if db.Dialect == sqldialect.PostgreSQL || os.Getenv(largeVariable) != "" {
		return 100_000
	}
	return 20_000
}

// fill inserts by the database: many tasks that are due, nearly all of one
// target, and an eighth as many for later, which share a group, and as many that
// are finished.
func fill(tb testing.TB, db *place.Database) {
	tb.Helper()
	hash := func(n string) string { return "CAST('hash' || " + n + " AS BLOB)" }
	big := "BIGINT"
	series := "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s) AS n"
	switch db.Dialect {
	case sqldialect.PostgreSQL:
		hash = func(n string) string { return "decode(md5(" + n + "::text), 'hex')" }
		series = "generate_series(1, %d) AS n(n)"
	case sqldialect.MySQL:
		hash = func(n string) string { return "UNHEX(MD5(" + n + "))" }
		series, big = "(SELECT seq AS n FROM seq_1_to_%d) AS n", "SIGNED"
	default:
	}
	hour := time.Hour.Microseconds()
	now := time.Now().UnixMicro()
	db.Do(tb, strings.NewReplacer(
		"{task}", db.Prefix+"task", "{series}", fmt.Sprintf(series, many(db)*5/4), "{hash}", hash("n"), "{group}", hash("0"),
		"{past}", fmt.Sprint(now-hour), "{future}", fmt.Sprint(now+hour), "{old}", fmt.Sprint(now-48*hour), "{n}", "CAST(n AS "+big+")",
	).Replace(`INSERT INTO {task} (queue, target, task_key, status, payload, error, attempts, due_at, claim_at, unique_hash, group_hash, created_at, updated_at, finished_at)
		SELECT 'park', CASE n % 1000 WHEN 0 THEN 'few' WHEN 1 THEN 'rare' ELSE 'many' END, {n},
		CASE n % 10 WHEN 9 THEN 'done' ELSE 'waiting' END, 'x', '', 1, {past} + {n},
		CASE n % 10 WHEN 9 THEN NULL WHEN 4 THEN {future} + {n} ELSE {past} + {n} END,
		CASE n % 10 WHEN 9 THEN NULL ELSE {hash} END, CASE n % 10 WHEN 4 THEN {group} ELSE NULL END,
		{past}, {past}, CASE n % 10 WHEN 9 THEN {old} + {n} ELSE 0 END FROM {series}`))
	place.Analyze(tb, db.DB, db.Dialect, db.Table("task"))
}

// work runs every operation once or more.
func work(t *testing.T, s *schedule.Schedule) {
	t.Helper()
	ctx := context.Background()
	for _, r := range []schedule.ClaimRequest{
		{Limit: 20}, {Limit: 20, Not: []string{"many"}}, {Limit: 20, Targets: []string{"few", "rare", "none"}},
	} {
		r.Queue, r.Lease = queue, time.Minute
		tasks, err := s.Claim(ctx, r)
		place.Must(t, err)
		if len(tasks) != 20 {
			t.Fatalf("claimed %d", len(tasks))
		}
		place.Must(t, s.Extend(ctx, tasks[0], time.Minute))
		place.Must(t, s.Settle(ctx, tasks[0], schedule.Outcome{Status: schedule.Done}))
		place.Must(t, s.Settle(ctx, tasks[1], schedule.Outcome{Status: schedule.Waiting, Delay: time.Hour}))
		place.Must(t, s.Release(ctx, tasks[2]))
		place.Must(t, s.Cancel(ctx, tasks[3].ID))
		place.Must(t, s.RunNow(ctx, tasks[1].ID))
	}
	for _, key := range []string{"a", "b"} {
		added, err := s.Add(ctx, schedule.Spec{Queue: "groups", Target: "t", Key: key, Group: "g", Hold: true})
		if err != nil || !added {
			t.Fatal(added, err)
		}
	}
	head, err := s.Find(ctx, "groups", "t", "a")
	place.Must(t, err)
	place.Must(t, s.Settle(ctx, head, schedule.Outcome{Status: schedule.Done}))
	head, err = s.Get(ctx, head.ID)
	place.Must(t, err)
	for _, status := range []schedule.Status{"waiting", "held", "done"} {
		_, err := s.List(ctx, schedule.Filter{Queue: queue, Status: status, Limit: 50, After: head})
		place.Must(t, err)
	}
	_, err = s.Prune(ctx, schedule.PruneRequest{Queue: queue, OlderThan: time.Hour})
	place.Must(t, err)
	wctx, stop := context.WithCancel(ctx)
	w, err := schedule.NewWorker(s, "groups", func(context.Context, schedule.Task) schedule.Outcome {
		stop()
		return schedule.Outcome{Status: schedule.Done}
	}, schedule.WorkerConfig{})
	place.Must(t, err)
	place.Must(t, w.Run(wctx))
}

// scans names what in a plan of each database means that more than what was
// asked for is read, or sorted.
var scans = map[sqldialect.Dialect][]string{
	sqldialect.PostgreSQL: {"Seq Scan on %stask", "Sort", "Bitmap", "Hash Join", "Hash Semi Join"},
	sqldialect.MySQL:      {"table=%stask type=ALL", "type=index", "Using filesort"},
	sqldialect.SQLite:     {"SCAN %stask", "SCAN n", "SCAN m", "TEMP B-TREE"},
}

// bounded reports whether a query for what is due reads no index entry that is not.
func bounded(d sqldialect.Dialect, query, plan string) bool {
	if !strings.HasPrefix(query, "SELECT id, target, claim_at") && !strings.HasPrefix(query, "SELECT MIN(u.first)") {
		return true
	}
	switch d {
	case sqldialect.PostgreSQL:
		return !strings.Contains(plan, "Filter: (claim_at")
	case sqldialect.MySQL:
		return !strings.Contains(plan, "type=ref")
	default:
		return strings.Contains(plan, "claim_at<?") || strings.Contains(plan, "claim_at>?")
	}
}

// The statements are those that really ran, taken from the driver, by the
// database's own clock.
func plans(t *testing.T, db *place.Database) {
	t.Helper()
	rec, r := db.Record(t)
	s, err := schedule.New(rec, schedule.Config{Prefix: db.Prefix, Dialect: db.Dialect})
	place.Must(t, err)
	work(t, s)
	place.Must(t, rec.Close())
	// What the group's statements meet is a large group.
	var group []byte
	place.Must(t, db.QueryRowContext(t.Context(), "SELECT group_hash FROM "+db.Prefix+"task WHERE group_hash IS NOT NULL LIMIT 1").Scan(&group))
	seen := map[string]int{}
	for query, args := range r.Statements() {
		if !strings.Contains(query, db.Prefix+"task") || strings.HasPrefix(query, "INSERT") {
			continue
		}
		if strings.Contains(query, "group_hash = ") && len(args) == 1 {
			args = []any{group}
		}
		verb, _, _ := strings.Cut(query, " ")
		seen[verb]++
		plans := []string{place.Explain(t, db.DB, db.Dialect, query, args...)}
		if db.Dialect == sqldialect.PostgreSQL {
			plans = append(plans, place.ExplainGeneric(t, db.DB, query, args...))
		}
		for _, plan := range plans {
			if !bounded(db.Dialect, query, plan) {
				t.Errorf("the time does not bound the scan of the index:\n%.3000s\n%s", query, plan)
			}
			for _, scan := range scans[db.Dialect] {
				scan = strings.ReplaceAll(scan, "%s", db.Prefix)
				// Loose steps along the index answer one row a target.
				if strings.Contains(plan, scan) && !strings.Contains(plan, "Using index for group-by") {
					t.Errorf("%s:\n%.3000s\n%.200v\n%s", scan, query, args, plan)
				}
			}
		}
	}
	if seen["SELECT"] < 7 || seen["UPDATE"] < 7 || seen["DELETE"] != 1 {
		t.Errorf("this run shows too little: %v", seen)
	}
}

func TestAHundredThousandDueTasks(t *testing.T) {
	place.EachWithSQLite(t, func(t *testing.T, db *place.Database) {
		fill(t, db)
		t.Run("no statement scans the table", func(t *testing.T) { plans(t, db) })
		t.Run("each is claimed once", func(t *testing.T) { drains(t, db) })
	})
}
