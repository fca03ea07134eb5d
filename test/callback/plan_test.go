package callback_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// many is how many calls are there while plans are looked at.
const many = 50_000

// fill inserts by the database: calls of two services, three quarters of them ended long
// ago, and two entries of history for each.
func (ts tables) fill(t *testing.T, db *sql.DB) {
	t.Helper()
	series, text := "generate_series(1, %d) AS s(n)", "CAST(n AS TEXT)"
	if ts.dialect == sqldialect.MySQL {
		series, text = "(SELECT seq AS n FROM seq_1_to_%d) AS s", "CAST(n AS CHAR)"
	}
	ago := time.Now().Add(-time.Hour).UnixMicro()
	replace := strings.NewReplacer("{call}", ts.prefix+"call", "{event}", ts.prefix+"call_event", "{series}", fmt.Sprintf(series, many),
		"{text}", text, "{ago}", fmt.Sprint(ago))
	for _, query := range []string{
		`INSERT INTO {call} (service, number, kind, method, url, headers, status, result_reason, error, deadline_at, ended_at, created_at, updated_at)
			SELECT CASE n % 2 WHEN 0 THEN 'default' ELSE 'other' END, {text}, CASE n % 100 WHEN 0 THEN 'rare' ELSE 'often' END, 'POST', 'https://copy.example/', '{}',
			CASE n % 8 WHEN 0 THEN 'sent' WHEN 2 THEN 'failed' ELSE 'succeeded' END, '', '', {ago}, CASE n % 8 WHEN 0 THEN 0 ELSE {ago} + n END, {ago}, {ago} FROM {series}`,
		`INSERT INTO {event} (service, number, kind, detail, happened_at) SELECT service, number, 'submitted', '', {ago} FROM {call}`,
		`INSERT INTO {event} (service, number, kind, detail, happened_at) SELECT service, number, 'ended', '', {ago} FROM {call}`,
	} {
		_, err := db.ExecContext(t.Context(), replace.Replace(query))
		must(t, err)
	}
	verb := "ANALYZE "
	if ts.dialect == sqldialect.MySQL {
		verb = "ANALYZE TABLE "
	}
	for _, table := range []string{"call", "call_event"} {
		_, err := db.ExecContext(t.Context(), verb+ts.prefix+table)
		must(t, err)
	}
}

// work runs every operation once or more.
func work(t *testing.T, ts tables, db *sql.DB) {
	t.Helper()
	ctx := t.Context()
	secret := webhook.NewSecret()
	box, err := forwarder.New(db, forwarder.Config{Prefix: ts.prefix})
	must(t, err)
	c, err := callback.New(db, box, callback.Config{Prefix: ts.prefix, Keys: []string{secret}, Retain: 59 * time.Minute, Now: time.Now})
	must(t, err)
	tx, err := db.BeginTx(ctx, ts.dialect.TxOptions())
	must(t, err)
	number, err := c.Submit(ctx, tx, callback.Call{URL: "https://copy.example/", SendDelay: time.Hour})
	must(t, err)
	must(t, tx.Commit())
	for _, status := range []string{"pending", "succeeded", "succeeded", "failed"} {
		if code := post(t, c, secret, fmt.Sprintf(`{"number":%q,"status":%q}`, number, status)); code != "200" {
			t.Fatalf("%s: answered with %s", status, code)
		}
	}
	_, err = c.History(ctx, number)
	must(t, err)
	for _, f := range []callback.Filter{{}, {After: 40_000}, {Status: callback.Sent}, {Status: callback.Failed, After: 40_000}, {Kind: "rare"}} {
		f.Limit = 50
		_, err := c.List(ctx, f)
		must(t, err)
	}
	rctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(rctx) }()
	<-time.After(150 * time.Second) // two rounds of what removes
	stop()
	must(t, <-ended)
}

// scans names what in a plan of each database means that more than what was asked
// for is read, or sorted.
var scans = map[sqldialect.Dialect][]string{
	sqldialect.PostgreSQL: {"Seq Scan on", "Sort", "Hash"},
	sqldialect.MySQL:      {"type=ALL", "type=index", "Using filesort"},
}

func TestEveryStatementFindsItsRowsByAnIndex(t *testing.T) {
	eachServer(t, func(t *testing.T, ts tables) {
		plain := ts.open(t)
		var seen map[string][]any
		synctest.Test(t, func(t *testing.T) {
			db, rec := ts.recorded(t)
			ts.fill(t, db)
			rec.args = map[string][]any{}
			work(t, ts, db)
			seen = rec.args
		})
		looked := 0
		for query, args := range seen {
			ours := strings.Contains(query, ts.prefix+"call")
			if !ours || strings.HasPrefix(query, "INSERT") || strings.Contains(query, "GROUP BY") {
				continue
			}
			looked++
			plan := explain(t, plain, query, args)
			for _, scan := range scans[ts.dialect] {
				if strings.Contains(plan, scan) {
					t.Errorf("%s:\n%s\n%s", scan, query, plan)
				}
			}
		}
		if looked < 10 {
			t.Errorf("%d statements were looked at, want all", looked)
		}
	})
}

func explain(t *testing.T, db *sql.DB, query string, args []any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatalf("explain %.200s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	must(t, err)
	var b strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		must(t, rows.Scan(dest...))
		for i, v := range values {
			if v.Valid {
				fmt.Fprintf(&b, "%s=%s ", columns[i], v.String)
			}
		}
		b.WriteByte('\n')
	}
	must(t, rows.Err())
	return b.String()
}
