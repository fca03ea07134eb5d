package sluicegatetest

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// driverName is what modernc.org/sqlite registers, and glebarez/go-sqlite too: two that
// cannot be in one program, for which reason this package chooses neither.
const driverName = "sqlite"

const dsn = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)"

// openSQLite opens a database that lives as long as the test.
func openSQLite(tb testing.TB) *sql.DB {
	tb.Helper()
	if !slices.Contains(sql.Drivers(), driverName) {
		tb.Fatalf("sluicegatetest: no driver %q is linked: add import _ %q to the test, or set Config.DB", driverName, "modernc.org/sqlite")
	}
	db, err := sql.Open(driverName, sqlopen.File(filepath.Join(tb.TempDir(), "test.db"))+dsn)
	if err != nil {
		tb.Fatalf("sluicegatetest: open SQLite: %v", err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}
