package notify_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/notify/notifytest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const prefix = "sluicegate_"

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// database returns a function that opens the same new database each time.
func database(t *testing.T) func() *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	connect := func() *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)")
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(1)
		return db
	}
	_, err := schema.Up(t.Context(), connect(), sqldialect.SQLite, sqldialect.Names{})
	must(t, err)
	return connect
}

func TestNotificationsOnSQLite(t *testing.T) {
	notifytest.Run(t, notifytest.Harness{Open: func(t *testing.T) (func() *sql.DB, string) {
		t.Helper()
		return database(t), prefix
	}})
}
