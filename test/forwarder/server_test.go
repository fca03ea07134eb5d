package forwarder_test

import (
	"database/sql"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/forwarder/forwardertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func postgresURL(tb testing.TB) string {
	tb.Helper()
	u := os.Getenv("POSTGRES_URL")
	if u == "" {
		tb.Skip("POSTGRES_URL is not set: eval \"$(scripts/services env)\"")
	}
	return u
}

func openPostgres(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, "pgx", postgresURL(tb))
}

// mysqlDSN turns MYSQL_URL into the driver's own form.
func mysqlDSN(tb testing.TB) string {
	tb.Helper()
	raw := os.Getenv("MYSQL_URL")
	if raw == "" {
		tb.Skip("MYSQL_URL is not set: eval \"$(scripts/services env)\"")
	}
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatalf("MYSQL_URL: %v", err)
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, u.Path[1:]
	return cfg.FormatDSN()
}

func openMySQL(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, "mysql", mysqlDSN(tb))
}

func open(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxIdleTime(time.Minute)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func TestPostgreSQL(t *testing.T) {
	forwardertest.Run(t, forwardertest.Harness{DB: openPostgres(t), Concurrent: true})
}

func TestMariaDB(t *testing.T) {
	forwardertest.Run(t, forwardertest.Harness{DB: openMySQL(t), Concurrent: true})
}
