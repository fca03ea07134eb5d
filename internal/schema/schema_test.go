package schema_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestUpRunsTwiceAndAtOnceFromSeveralProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	type result struct {
		n   int
		err error
	}
	results := make(chan result)
	const processes = 4
	for range processes {
		db := open(t, path) // a pool of its own, as a process has
		go func() {
			n, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{})
			results <- result{n, err}
		}()
	}
	applied := 0
	for range processes {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		applied += r.n
	}
	list, err := schema.List(sqldialect.SQLite, sqldialect.Names{})
	if err != nil {
		t.Fatal(err)
	}
	if applied != len(list) {
		t.Errorf("applied %d migrations in all, want each of the %d once", applied, len(list))
	}
	if n, err := schema.Up(t.Context(), open(t, path), sqldialect.SQLite, sqldialect.Names{}); n != 0 || err != nil {
		t.Errorf("a later run applied %d, %v", n, err)
	}
}

func TestPrefixesShareADatabaseWithoutMixing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	for _, prefix := range []string{"", "staging_"} {
		if n, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{Prefix: prefix}); n == 0 || err != nil {
			t.Fatalf("prefix %q: %d, %v", prefix, n, err)
		}
	}
	for _, table := range []string{"sluicegate_outbox", "staging_outbox", "sluicegate_inbox", "staging_inbox"} {
		if _, err := db.Exec("SELECT 1 FROM " + table); err != nil {
			t.Error(err)
		}
	}
}

func TestThePrintedScriptLeavesNothingToDo(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	script, err := schema.SQL(sqldialect.SQLite, sqldialect.Names{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	if n, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); n != 0 || err != nil {
		t.Fatalf("Up applied %d after the script, %v", n, err)
	}
	if err := schema.Check(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		t.Fatal(err)
	}
}

func TestCheckTellsOfAMissingSchema(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := schema.Check(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); !errors.Is(err, schema.ErrOutdated) {
		t.Fatalf("got %v", err)
	}
}

func TestEveryDialectHasTheSameMigrationsAndTables(t *testing.T) {
	var want []schema.Migration
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		list, err := schema.List(d, sqldialect.Names{Prefix: "p_"})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = list
		}
		if len(list) != len(want) {
			t.Fatalf("%v has %d migrations, PostgreSQL %d", d, len(list), len(want))
		}
		for i := range list {
			if list[i].Version != i+1 || list[i].Name != want[i].Name {
				t.Errorf("%v: migration %d is %04d_%s", d, i, list[i].Version, list[i].Name)
			}
			text := strings.Join(list[i].Statements, "\n")
			if strings.ContainsAny(text, "{") && strings.Contains(text, "{prefix}") {
				t.Errorf("%v: a mark was not expanded:\n%s", d, text)
			}
		}
		if _, err := schema.List(d, sqldialect.Names{Prefix: "a;b"}); err == nil {
			t.Errorf("%v: a bad prefix was accepted", d)
		}
	}
}
