package place

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Database is a pool of connections with tables of the test's own.
type Database struct {
	*sql.DB

	Dialect sqldialect.Dialect
	// DriverName and DSN are what the pool was opened with.
	DriverName, DSN string
	// Prefix is that of the tables: random, for a Config of what is tested.
	Prefix string
}

// Open connects to the dialect's Address and makes our tables under a new
// prefix; at the end of the test it drops them. It skips where Address does.
func Open(tb testing.TB, d sqldialect.Dialect) *Database {
	tb.Helper()
	driver, dsn := Address(tb, d)
	return OpenAt(tb, d, driver, dsn)
}

// OpenAt is Open at another address, such as that of a proxy.
func OpenAt(tb testing.TB, d sqldialect.Dialect, driver, dsn string) *Database {
	tb.Helper()
	db := &Database{
		DB: connect(tb, d, driver, dsn), Dialect: d, DriverName: driver, DSN: dsn,
		Prefix: "t" + strings.ToLower(rand.Text()[:10]) + "_",
	}
	// Before they are made: a migration that fails leaves some.
	db.dropAtEnd(tb, schema.Tables()...)
	_, err := schema.Up(context.Background(), db.DB, d, db.Names())
	Must(tb, err)
	return db
}

// Connect opens another pool at the same address, with the same tables in reach,
// and closes it at the end of tb. It may be called in a bubble of
// testing/synctest, to which the pool then belongs.
func (db *Database) Connect(tb testing.TB) *sql.DB {
	tb.Helper()
	return connect(tb, db.Dialect, db.DriverName, db.DSN)
}

// Names are the names of the tables.
func (db *Database) Names() sqldialect.Names { return sqldialect.Names{Prefix: db.Prefix} }

// Table is the quoted name of a table, which is given without its prefix.
func (db *Database) Table(name string) string { return db.Names().Table(db.Dialect, name) }

// Create makes a table of the test's own beside ours and drops it at the end;
// columns is what stands between the parentheses.
func (db *Database) Create(tb testing.TB, name, columns string) {
	tb.Helper()
	db.dropAtEnd(tb, name)
	db.Do(tb, "CREATE TABLE "+db.Table(name)+" ("+columns+")")
}

// Do runs a statement with ? for its arguments, or ends the test.
func (db *Database) Do(tb testing.TB, query string, args ...any) {
	tb.Helper()
	_, err := db.ExecContext(context.Background(), db.Dialect.Bind(query), args...)
	Must(tb, err)
}

// dropAtEnd drops tables that are there. An error is not the test's: it may have
// cut the connection, and the tables are nobody else's.
func (db *Database) dropAtEnd(tb testing.TB, tables ...string) {
	tb.Helper()
	tb.Cleanup(func() {
		for _, table := range tables {
			_, _ = db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+db.Table(table))
		}
	})
}
