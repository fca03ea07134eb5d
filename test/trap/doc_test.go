// Package trap_test shows, for each trap of plain Watermill that this module
// says it closes, the trap on the plain component and its absence with ours.
//
// The plain half asserts the trap: where a later Watermill closes it, the test
// fails, and the claim must go.
package trap_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestMain(m *testing.M) {
	// Watermill's Deduplicator starts a goroutine that nothing can stop.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/message/router/middleware.(*mapExpiringKeyRepository).cleanOutLoop"))
}

var errBoom = errors.New("boom")

// must returns what a constructor returned.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// deliver gives the message to the router as a broker does: again after each
// nack, a fresh copy every time, at most times in all. It returns how often it
// was delivered and whether it was acked in the end.
func deliver(r *routertest.Router, msg *message.Message, times int) (int, routertest.Outcome) {
	last := routertest.Nacked
	n := 0
	for n < times && last == routertest.Nacked {
		n++
		last = r.Deliver(msg.Copy())
	}
	return n, last
}

// sqlite opens an empty database with our tables and one of a handler's:
// effect(id).
func sqlite(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE effect (id TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func effects(t *testing.T, db *sql.DB) int {
	t.Helper()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM effect").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
