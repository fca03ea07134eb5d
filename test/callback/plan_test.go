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
	"github.com/sluicegate/sluicegate/test/place"
)

// many is how many calls are there while plans are looked at.
const many = 50_000

// fill inserts by the database: calls of two services, three quarters of them ended long
// ago, and two entries of history for each.
func fill(t *testing.T, ts *place.Database, db *sql.DB) {
	t.Helper()
	series, text := "generate_series(1, %d) AS s(n)", "CAST(n AS TEXT)"
	if ts.Dialect == sqldialect.MySQL {
		series, text = "(SELECT seq AS n FROM seq_1_to_%d) AS s", "CAST(n AS CHAR)"
	}
	ago := time.Now().Add(-time.Hour).UnixMicro()
	replace := strings.NewReplacer("{call}", ts.Prefix+"call", "{event}", ts.Prefix+"call_event", "{series}", fmt.Sprintf(series, many),
		"{text}", text, "{ago}", fmt.Sprint(ago))
	for _, query := range []string{
		`INSERT INTO {call} (service, number, kind, method, url, headers, status, result_reason, error, deadline_at, ended_at, created_at, updated_at)
			SELECT CASE n % 2 WHEN 0 THEN 'default' ELSE 'other' END, {text}, CASE n % 100 WHEN 0 THEN 'rare' ELSE 'often' END, 'POST', 'https://copy.example/', '{}',
			CASE n % 8 WHEN 0 THEN 'sent' WHEN 2 THEN 'failed' ELSE 'succeeded' END, '', '', {ago}, CASE n % 8 WHEN 0 THEN 0 ELSE {ago} + n END, {ago}, {ago} FROM {series}`,
		`INSERT INTO {event} (service, number, kind, detail, happened_at) SELECT service, number, 'submitted', '', {ago} FROM {call}`,
		`INSERT INTO {event} (service, number, kind, detail, happened_at) SELECT service, number, 'ended', '', {ago} FROM {call}`,
	} {
		_, err := db.ExecContext(t.Context(), replace.Replace(query))
		place.Must(t, err)
	}
	place.Analyze(t, db, ts.Dialect, ts.Table("call"), ts.Table("call_event"))
}

// work runs every operation once or more.
func work(t *testing.T, ts *place.Database, db *sql.DB) {
	t.Helper()
	ctx := t.Context()
	secret := webhook.NewSecret()
	box, err := forwarder.New(db, forwarder.Config{Prefix: ts.Prefix})
	place.Must(t, err)
	c, err := callback.New(db, box, callback.Config{Prefix: ts.Prefix, Keys: []string{secret}, Retain: 59 * time.Minute, Now: time.Now})
	place.Must(t, err)
	tx, err := db.BeginTx(ctx, ts.Dialect.TxOptions())
	place.Must(t, err)
	number, err := c.Submit(ctx, tx, callback.Call{URL: "https://copy.example/", SendDelay: time.Hour})
	place.Must(t, err)
	place.Must(t, tx.Commit())
	for _, status := range []string{"pending", "succeeded", "succeeded", "failed"} {
		if code := post(t, c, secret, fmt.Sprintf(`{"number":%q,"status":%q}`, number, status)); code != "200" {
			t.Fatalf("%s: answered with %s", status, code)
		}
	}
	_, err = c.History(ctx, number)
	place.Must(t, err)
	for _, f := range []callback.Filter{{}, {After: 40_000}, {Status: callback.Sent}, {Status: callback.Failed, After: 40_000}, {Kind: "rare"}} {
		f.Limit = 50
		_, err := c.List(ctx, f)
		place.Must(t, err)
	}
	rctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(rctx) }()
	<-time.After(150 * time.Second) // two rounds of what removes
	stop()
	place.Must(t, <-ended)
}

// scans names what in a plan of each database means that more than what was asked
// for is read, or sorted.
var scans = map[sqldialect.Dialect][]string{
	sqldialect.PostgreSQL: {"Seq Scan on", "Sort", "Hash"},
	sqldialect.MySQL:      {"type=ALL", "type=index", "Using filesort"},
}

func TestEveryStatementFindsItsRowsByAnIndex(t *testing.T) {
	place.Each(t, func(t *testing.T, ts *place.Database) {
		plain := ts.Connect(t)
		var seen map[string][]any
		synctest.Test(t, func(t *testing.T) {
			db, rec := ts.Record(t)
			fill(t, ts, db)
			rec.Reset()
			work(t, ts, db)
			seen = rec.Statements()
		})
		looked := 0
		for query, args := range seen {
			ours := strings.Contains(query, ts.Prefix+"call")
			if !ours || strings.HasPrefix(query, "INSERT") || strings.Contains(query, "GROUP BY") {
				continue
			}
			looked++
			plan := place.Explain(t, plain, ts.Dialect, query, args...)
			for _, scan := range scans[ts.Dialect] {
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
