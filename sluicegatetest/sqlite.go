package sluicegatetest

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
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
	// Subtests of one name have folders such as "Test#01", which a URL would end at.
	path := (&url.URL{Path: filepath.ToSlash(filepath.Join(tb.TempDir(), "test.db"))}).EscapedPath()
	db, err := sql.Open(driverName, "file:"+path+dsn)
	if err != nil {
		tb.Fatalf("sluicegatetest: open SQLite: %v", err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}
