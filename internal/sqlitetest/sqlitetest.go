// Package sqlitetest opens SQLite for a test: a file of its own that is gone after it,
// with one connection, as the documents ask for.
package sqlitetest

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// Open returns an empty database, closed at the end of tb. A commit is safe from a
// crash of the process and not of the machine, which no test survives either.
func Open(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, "OFF")
}

// Durable is Open where a commit reaches the disk, and takes as long as in production.
func Durable(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, "FULL")
}

// Migrate makes our tables in db, with their default names, and returns it.
func Migrate(tb testing.TB, db *sql.DB) *sql.DB {
	tb.Helper()
	if _, err := schema.Up(tb.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		tb.Fatal(err)
	}
	return db
}

func open(tb testing.TB, synchronous string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", sqlopen.File(filepath.Join(tb.TempDir(), "x.db"))+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}
