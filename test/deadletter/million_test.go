package deadletter_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/test/place"
)

// largeVariable has the databases filled with a million letters, and the times
// judged: for a machine that does nothing else. Without it there are fewer, and
// the times are only told.
const largeVariable = "SLUICEGATE_TEST_LARGE"

const million = 1_000_000

func large() bool { return os.Getenv(largeVariable) != "" }

func size() int {
	if large() {
		return million
	}
	return million / 10
}

// start is when the first letter was set aside; one follows each second.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var indexes = []string{"handler", "uuid", "ref", "key", "status", "consumer", "scope", "topic", "group", "age"}

// fill stores n letters of 20 handlers, 30 topics, 6 consumers, one of which is
// rare, and 500 errors, the first of which is half of them. Every 1000th was
// redriven.
func fill(tb testing.TB, db *place.Database, n int) {
	tb.Helper()
	table := db.Table(schema.DeadLetter)
	for _, name := range indexes {
		on := ""
		if db.Dialect == sqldialect.MySQL {
			on = " ON " + table
		}
		db.Do(tb, "DROP INDEX "+db.Names().Plain("dead_letter_"+name)+on)
	}
	numbers := fmt.Sprintf("generate_series(1, %d) AS s(n)", n)
	text, group, payload := func(of string) string { return of + "::text" }, "lpad(to_hex(CASE WHEN n % 2 = 0 THEN 0 ELSE n % 500 END), 16, '0')", "decode(repeat('ab', 200), 'hex')"
	with := ""
	switch db.Dialect {
	case sqldialect.MySQL:
		numbers = fmt.Sprintf("(SELECT seq AS n FROM seq_1_to_%d) s", n)
		text, group, payload = func(of string) string { return of }, "LPAD(LOWER(HEX(CASE WHEN n % 2 = 0 THEN 0 ELSE n % 500 END)), 16, '0')", "REPEAT('x', 200)"
	case sqldialect.SQLite:
		with, numbers = fmt.Sprintf("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) ", n), "s"
		text, group, payload = func(of string) string { return of }, "printf('%016x', CASE WHEN n % 2 = 0 THEN 0 ELSE n % 500 END)", "zeroblob(200)"
	default: // as above
	}
	join := func(a, b string) string {
		if db.Dialect == sqldialect.MySQL {
			return "CONCAT(" + a + ", " + b + ")"
		}
		return a + " || " + b
	}
	numbered := func(name, of string) string { return join("'"+name+"'", text("("+of+")")) }
	columns := []string{
		numbered("ref-", "n"), "CASE WHEN n % 1000 = 0 THEN 'redriven' ELSE 'dead' END", "CASE WHEN n % 100000 = 7 THEN 'rare' ELSE " + numbered("consumer-", "n % 5") + " END",
		numbered("handler-", "n % 20"), numbered("topic-", "n % 30"), "''", numbered("order-", "n"), numbered("uuid-", "n"), payload,
		`'{"customer":"42"}'`, join(numbered("no stock of product ", "n"), "' in the warehouse of the second district: status 409'"), group, "50",
		`'[{"number":1,"started_at":"2026-01-02T03:04:05Z","duration_ns":1000,"error":"boom"}]'`, "0", "0",
		fmt.Sprintf("%d + 1000000 * CAST(n AS %s)", start.UnixMicro(), map[bool]string{true: "SIGNED", false: "BIGINT"}[db.Dialect == sqldialect.MySQL]),
	}
	names := "ref, status, consumer, handler, topic, subscriber, message_key, message_uuid, payload, headers, reason, fingerprint, attempt_count, attempts, epoch, previous_id, dead_at"
	insert, query := "INSERT INTO "+table+" ("+names+") ", "SELECT "+strings.Join(columns, ", ")+" FROM "+numbers
	if with != "" {
		insert += with
	}
	db.Do(tb, insert+query)
	reindex(tb, db)
}

// reindex makes the indexes again that fill has dropped: a migration may run twice.
func reindex(tb testing.TB, db *place.Database) {
	tb.Helper()
	list, err := schema.List(db.Dialect, db.Names())
	place.Must(tb, err)
	for _, m := range list {
		if m.Name != "consistency" && m.Name != "dead_letter" {
			continue
		}
		for _, s := range m.Statements {
			if _, err := db.ExecContext(tb.Context(), s); err != nil && !db.Dialect.IsAdded(err) && db.Dialect != sqldialect.SQLite {
				tb.Fatal(err)
			}
		}
	}
	if db.Dialect == sqldialect.MySQL { // they are in its CREATE TABLE
		for name, on := range map[string]string{"handler": "(handler, id)", "uuid": "(message_uuid)"} {
			db.Do(tb, "CREATE INDEX "+db.Names().Plain("dead_letter_"+name)+" ON "+db.Table(schema.DeadLetter)+" "+on)
		}
	}
	switch db.Dialect {
	case sqldialect.PostgreSQL:
		db.Do(tb, "VACUUM ANALYZE "+db.Table(schema.DeadLetter)) // as autovacuum does after so many inserts
	case sqldialect.MySQL:
		db.Do(tb, "ANALYZE TABLE "+db.Table(schema.DeadLetter))
	default: // SQLite has no statistics unless somebody asks for them
	}
}

func TestAMillionLettersAreListedFilteredAndGroupedInTime(t *testing.T) {
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		t.Run(d.String(), func(t *testing.T) { inTime(t, d) })
	}
}

func inTime(t *testing.T, d sqldialect.Dialect) {
	t.Helper()
	db, n := place.Open(t, d), size()
	began := time.Now()
	fill(t, db, n)
	t.Logf("%d letters in %v", n, time.Since(began).Round(time.Millisecond))
	store, err := deadletter.SQL(db.DB, deadletter.SQLConfig{Prefix: db.Prefix})
	place.Must(t, err)
	at := func(part float64) time.Time { return start.Add(time.Duration(part*float64(n)) * time.Second) }
	for _, c := range []struct {
		name   string
		filter deadletter.Filter
		want   int // letters on the page
	}{
		{"oldest", deadletter.Filter{}, 100},
		{"newest", deadletter.Filter{Newest: true}, 100},
		{"a page in the middle", deadletter.Filter{After: int64(n / 2)}, 100},
		{"the largest page, brief", deadletter.Filter{Limit: 1000, Brief: true}, 1000},
		{"redriven", deadletter.Filter{Status: deadletter.Redriven, Newest: true}, 100},
		{"handler", deadletter.Filter{Handler: "handler-7", Newest: true}, 100},
		{"no such handler", deadletter.Filter{Handler: "nobody"}, 0},
		{"topic", deadletter.Filter{Topic: "topic-7"}, 100},
		{"handler and topic that never meet", deadletter.Filter{Handler: "handler-7", Topic: "topic-8"}, 0},
		{"a rare consumer", deadletter.Filter{Consumer: "rare"}, n / 100_000},
		{"no such consumer", deadletter.Filter{Consumer: "nobody", Newest: true}, 0},
		{"half of all are this error", deadletter.Filter{Group: "0000000000000000", Newest: true}, 100},
		{"a rare error", deadletter.Filter{Group: "0000000000000007"}, 100},
		{"no such error", deadletter.Filter{Group: "ffffffffffffffff"}, 0},
		{"key", deadletter.Filter{Key: "order-4711"}, 1},
		{"uuid", deadletter.Filter{UUID: "uuid-4711"}, 1},
		{"time in the middle", deadletter.Filter{From: at(.5), To: at(.6)}, 100},
		{"time in the middle, newest", deadletter.Filter{From: at(.5), To: at(.6), Newest: true}, 100},
		{"handler and time", deadletter.Filter{Handler: "handler-7", From: at(.9)}, 100},
		{"a time without letters", deadletter.Filter{From: at(2)}, 0},
		{"a text that all have", deadletter.Filter{Text: "warehouse", Newest: true}, 100},
		{"a text of the last letters, oldest first", deadletter.Filter{Text: fmt.Sprint("product ", n-1)}, 0},
		{"a text that none has", deadletter.Filter{Text: "nowhere"}, 0},
	} {
		took := best(t, func() error {
			page, err := store.Page(t.Context(), c.filter)
			if err == nil && len(page.Letters) != c.want {
				err = fmt.Errorf("%d letters, want %d", len(page.Letters), c.want)
			}
			return err
		})
		t.Logf("%-45s %v", c.name, took.Round(10*time.Microsecond))
		if large() && took > 200*time.Millisecond {
			t.Errorf("%s: %v, want 200 ms", c.name, took)
		}
	}
	for name, filter := range map[string]deadletter.Filter{
		"all": {}, "handler": {Handler: "handler-7"}, "topic and consumer": {Topic: "topic-7", Consumer: "consumer-2"}, "time": {From: at(.25), To: at(.75)},
	} {
		took := best(t, func() error { _, err := store.Groups(t.Context(), filter); return err })
		counted := best(t, func() error { _, err := store.Count(t.Context(), filter); return err })
		t.Logf("groups, %-37s %v; count %v", name, took.Round(10*time.Microsecond), counted.Round(10*time.Microsecond))
		if large() && (took > time.Second || counted > time.Second) {
			t.Errorf("groups, %s: %v, counted %v, want 1 s", name, took, counted)
		}
	}
}

// best is the quickest of three: what else the machine does is not the store's.
func best(tb testing.TB, fn func() error) time.Duration {
	tb.Helper()
	least := time.Hour
	for range 3 {
		began := time.Now()
		if err := fn(); err != nil {
			tb.Fatal(err)
		}
		least = min(least, time.Since(began))
	}
	return least
}
