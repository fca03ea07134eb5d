package place

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// serverConns is how many connections a pool may have on a server. SQLite has
// one: two writers of one file would wait for each other by polling.
const serverConns = 16

// Must ends the test if err is not nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// URL returns the URL in the environment variable, or skips the test. What is no
// URL ends it, without repeating a password.
func URL(tb testing.TB, variable string) *url.URL {
	tb.Helper()
	raw := os.Getenv(variable)
	if raw == "" {
		tb.Skipf("%s is not set: eval \"$(scripts/services env)\"", variable)
	}
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatalf("%s is no URL", variable)
	}
	return u
}

// Address returns the driver of a dialect and how it connects: to the server in
// POSTGRES_URL or MYSQL_URL, or the test is skipped; with SQLite to a new file
// that is gone after the test.
func Address(tb testing.TB, d sqldialect.Dialect) (driver, dsn string) {
	tb.Helper()
	switch d {
	case sqldialect.PostgreSQL:
		return "pgx", URL(tb, "POSTGRES_URL").String()
	case sqldialect.MySQL:
		u := URL(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		return "mysql", cfg.FormatDSN()
	default:
		return "sqlite", sqlopen.File(filepath.Join(tb.TempDir(), "x.db")) +
			"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	}
}

// Connect opens a pool at the dialect's Address, without tables, and closes it
// at the end of the test.
func Connect(tb testing.TB, d sqldialect.Dialect) *sql.DB {
	tb.Helper()
	driver, dsn := Address(tb, d)
	return connect(tb, d, driver, dsn)
}

func connect(tb testing.TB, d sqldialect.Dialect, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	Must(tb, err)
	setConns(db, d)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func setConns(db *sql.DB, d sqldialect.Dialect) {
	conns := serverConns
	if d == sqldialect.SQLite {
		conns = 1
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
}
