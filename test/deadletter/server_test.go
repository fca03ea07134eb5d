// Package deadletter_test holds the dead letters against real servers, and
// against a table of a million of them.
package deadletter_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

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

// server returns the URL in the variable, or skips.
func server(tb testing.TB, variable string) *url.URL {
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

// database has tables of the test's own.
type database struct {
	*sql.DB
	dialect sqldialect.Dialect
	names   sqldialect.Names
}

func (db *database) table(name string) string { return db.names.Table(db.dialect, name) }

func (db *database) exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	_, err := db.ExecContext(context.Background(), db.dialect.Bind(query), args...)
	must(tb, err)
}

// eachServer runs fn on both servers.
func eachServer(t *testing.T, fn func(t *testing.T, d sqldialect.Dialect)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { fn(t, sqldialect.PostgreSQL) })
	t.Run("MariaDB", func(t *testing.T) { fn(t, sqldialect.MySQL) })
}

// open connects and makes the tables.
func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	driver, dsn, conns := dataSource(tb, d)
	raw, err := sql.Open(driver, dsn)
	must(tb, err)
	raw.SetMaxOpenConns(conns)
	raw.SetMaxIdleConns(conns)
	tb.Cleanup(func() { _ = raw.Close() })
	db := &database{DB: raw, dialect: d, names: sqldialect.Names{Prefix: "t" + strings.ToLower(rand.Text()[:10]) + "_"}}
	_, err = schema.Up(context.Background(), raw, d, db.names)
	must(tb, err)
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = raw.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+db.table(table))
		}
	})
	return db
}

func dataSource(tb testing.TB, d sqldialect.Dialect) (driver, dsn string, conns int) {
	tb.Helper()
	switch d {
	case sqldialect.PostgreSQL:
		return "pgx", server(tb, "POSTGRES_URL").String(), 16
	case sqldialect.MySQL:
		u := server(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		cfg.Logger = &mysql.NopLogger{}
		return "mysql", cfg.FormatDSN(), 16
	default:
		return "sqlite", "file:" + filepath.Join(tb.TempDir(), "x.db") +
			"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)", 1
	}
}
