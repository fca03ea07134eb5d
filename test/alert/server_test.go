// Package alert_test holds the state of alerts against real servers: PostgreSQL
// and MariaDB.
package alert_test

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

// eachServer runs fn on both servers.
func eachServer(t *testing.T, fn func(t *testing.T, db *sql.DB, d sqldialect.Dialect)) {
	t.Helper()
	for name, d := range map[string]sqldialect.Dialect{"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL} {
		t.Run(name, func(t *testing.T) { fn(t, connect(t, d), d) })
	}
}

func connect(tb testing.TB, d sqldialect.Dialect) *sql.DB {
	tb.Helper()
	var driver, dsn string
	if d == sqldialect.PostgreSQL {
		driver, dsn = "pgx", server(tb, "POSTGRES_URL").String()
	} else {
		u := server(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		cfg.Logger = &mysql.NopLogger{}
		driver, dsn = "mysql", cfg.FormatDSN()
	}
	db, err := sql.Open(driver, dsn)
	must(tb, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// tables makes our tables under a prefix of the test's own, and drops them.
func tables(tb testing.TB, db *sql.DB, d sqldialect.Dialect) string {
	tb.Helper()
	prefix := "t" + strings.ToLower(rand.Text()[:10]) + "_"
	names := sqldialect.Names{Prefix: prefix}
	_, err := schema.Up(context.Background(), db, d, names)
	must(tb, err)
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
		_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, "migration"))
	})
	return prefix
}
