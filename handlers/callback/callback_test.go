package callback_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/callback/callbacktest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(tb.TempDir(), "x.db")+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)")
	must(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	_, err = schema.Up(context.Background(), db, sqldialect.SQLite, sqldialect.Names{})
	must(tb, err)
	return db
}

func TestThePromisesAreKeptOnSQLite(t *testing.T) {
	callbacktest.Run(t, callbacktest.Harness{Open: func(t *testing.T) callbacktest.Database {
		t.Helper()
		return callbacktest.Database{DB: open(t), Single: true}
	}})
}
