// Package callback_test holds asynchronous calls against real servers: PostgreSQL
// and MariaDB.
package callback_test

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

// tables are the test's own, on one server.
type tables struct {
	dialect     sqldialect.Dialect
	driver, dsn string
	prefix      string
}

func create(tb testing.TB, d sqldialect.Dialect) tables {
	tb.Helper()
	ts := tables{dialect: d, prefix: "t" + strings.ToLower(rand.Text()[:10]) + "_"}
	switch d {
	case sqldialect.PostgreSQL:
		ts.driver, ts.dsn = "pgx", server(tb, "POSTGRES_URL").String()
	default:
		u := server(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		ts.driver, ts.dsn = "mysql", cfg.FormatDSN()
	}
	names := sqldialect.Names{Prefix: ts.prefix}
	db := ts.open(tb)
	_, err := schema.Up(context.Background(), db, d, names)
	must(tb, err)
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
	})
	return ts
}

// open opens a pool of its own.
func (ts tables) open(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := sql.Open(ts.driver, ts.dsn)
	must(tb, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func eachServer(t *testing.T, fn func(t *testing.T, ts tables)) {
	t.Helper()
	for name, d := range map[string]sqldialect.Dialect{"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL} {
		t.Run(name, func(t *testing.T) { fn(t, create(t, d)) })
	}
}
