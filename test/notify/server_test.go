package notify_test

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

var servers = map[string]sqldialect.Dialect{"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL}

// address returns how to connect, or skips.
func address(tb testing.TB, d sqldialect.Dialect) (driver, dsn string) {
	tb.Helper()
	if d == sqldialect.PostgreSQL {
		return "pgx", server(tb, "POSTGRES_URL").String()
	}
	u := server(tb, "MYSQL_URL")
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	return "mysql", cfg.FormatDSN()
}

// database returns a function that connects to the same new tables each time.
func database(tb testing.TB, d sqldialect.Dialect) (connect func() *sql.DB, prefix string) {
	tb.Helper()
	driver, dsn := address(tb, d)
	prefix = "t" + strings.ToLower(rand.Text()[:10]) + "_"
	names := sqldialect.Names{Prefix: prefix}
	connect = func() *sql.DB {
		db, err := sql.Open(driver, dsn)
		must(tb, err)
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(8)
		tb.Cleanup(func() { _ = db.Close() })
		return db
	}
	db := connect()
	_, err := schema.Up(context.Background(), db, d, names)
	must(tb, err)
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
	})
	return connect, prefix
}
