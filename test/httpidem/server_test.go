// Package httpidem_test holds package httpidem against real servers, Redis,
// PostgreSQL and MariaDB, and with the routers chi, gin and echo.
package httpidem_test

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
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
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

// database is one of the two servers, with tables of the test's own.
type database struct {
	*sql.DB
	dialect sqldialect.Dialect
	prefix  string
}

func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	driver, dsn := dataSource(tb, d)
	db, err := sql.Open(driver, dsn)
	must(tb, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	prefix := "t" + strings.ToLower(rand.Text()[:10]) + "_"
	names := sqldialect.Names{Prefix: prefix}
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
		_, _ = db.Exec("DROP TABLE IF EXISTS " + prefix + "orders")
		_ = db.Close()
	})
	_, err = schema.Up(context.Background(), db, d, names)
	must(tb, err)
	id := "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	if d == sqldialect.MySQL {
		id = "BIGINT AUTO_INCREMENT PRIMARY KEY"
	}
	_, err = db.Exec("CREATE TABLE " + prefix + "orders (id " + id + ", number VARCHAR(64) NOT NULL UNIQUE, customer VARCHAR(64) NOT NULL)")
	must(tb, err)
	return &database{DB: db, dialect: d, prefix: prefix}
}

func dataSource(tb testing.TB, d sqldialect.Dialect) (driver, dsn string) {
	tb.Helper()
	if d == sqldialect.PostgreSQL {
		return "pgx", server(tb, "POSTGRES_URL").String()
	}
	u := server(tb, "MYSQL_URL")
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	cfg.Logger = &mysql.NopLogger{}
	return "mysql", cfg.FormatDSN()
}

func (db *database) store(tb testing.TB) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.New(db.DB, sqlstore.Config{Prefix: db.prefix})
	must(tb, err)
	return s
}

func (db *database) orders(tb testing.TB) int {
	tb.Helper()
	var n int
	must(tb, db.QueryRow("SELECT COUNT(*) FROM "+db.prefix+"orders").Scan(&n))
	return n
}

// insert is a statement that takes a number and a customer.
func (db *database) insert() string {
	return db.dialect.Bind("INSERT INTO " + db.prefix + "orders (number, customer) VALUES (?, ?)")
}

func redis(tb testing.TB) httpidem.Store {
	tb.Helper()
	opts, err := goredis.ParseURL(server(tb, "REDIS_URL").String())
	must(tb, err)
	client := goredis.NewClient(opts)
	prefix := "t" + rand.Text()[:10]
	tb.Cleanup(func() {
		if keys, _ := client.Keys(context.Background(), prefix+"*").Result(); len(keys) > 0 {
			_ = client.Del(context.Background(), keys...).Err()
		}
		_ = client.Close()
	})
	s, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	must(tb, err)
	return s
}

// eachServer runs fn on a store of each server.
func eachServer(t *testing.T, fn func(t *testing.T, store httpidem.Store)) {
	t.Helper()
	t.Run("Redis", func(t *testing.T) { fn(t, redis(t)) })
	eachDatabase(t, func(t *testing.T, db *database) { fn(t, db.store(t)) })
}

func eachDatabase(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { fn(t, open(t, sqldialect.PostgreSQL)) })
	t.Run("MariaDB", func(t *testing.T) { fn(t, open(t, sqldialect.MySQL)) })
}
