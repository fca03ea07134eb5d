// Package task_test holds the tasks of users against real servers: PostgreSQL and
// MariaDB.
package task_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
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
	prefix  string
}

func eachServer(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	for name, d := range map[string]sqldialect.Dialect{"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL} {
		t.Run(name, func(t *testing.T) { fn(t, open(t, d)) })
	}
}

func eachDatabase(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	eachServer(t, fn)
	t.Run("SQLite", func(t *testing.T) { fn(t, open(t, sqldialect.SQLite)) })
}

func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	db := connect(tb, d)
	prefix := "t" + strings.ToLower(rand.Text()[:10]) + "_"
	names := sqldialect.Names{Prefix: prefix}
	_, err := schema.Up(context.Background(), db, d, names)
	must(tb, err)
	_, err = db.Exec("CREATE TABLE " + prefix + "sent (item VARCHAR(64) NOT NULL)")
	must(tb, err)
	tb.Cleanup(func() {
		_, _ = db.Exec("DROP TABLE IF EXISTS " + prefix + "sent")
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
	})
	return &database{DB: db, dialect: d, prefix: prefix}
}

func connect(tb testing.TB, d sqldialect.Dialect) *sql.DB {
	tb.Helper()
	var driver, dsn string
	conns := 16
	switch d {
	case sqldialect.PostgreSQL:
		driver, dsn = "pgx", server(tb, "POSTGRES_URL").String()
	case sqldialect.MySQL:
		u := server(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		driver, dsn = "mysql", cfg.FormatDSN()
	default:
		driver, conns = "sqlite", 1
		dsn = "file:" + tb.TempDir() + "/x.db?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(driver, dsn)
	must(tb, err)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}
