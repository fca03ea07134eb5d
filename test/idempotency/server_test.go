package idempotency_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	goredis "github.com/redis/go-redis/v9"
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

// database is one of the two servers, with tables of the test's own.
type database struct {
	*sql.DB
	dialect sqldialect.Dialect
	prefix  string
}

var dialects = map[string]sqldialect.Dialect{"PostgreSQL": sqldialect.PostgreSQL, "MariaDB": sqldialect.MySQL}

var variables = map[sqldialect.Dialect]string{sqldialect.PostgreSQL: "POSTGRES_URL", sqldialect.MySQL: "MYSQL_URL"}

// eachDatabase runs fn on both servers.
func eachDatabase(t *testing.T, fn func(t *testing.T, d sqldialect.Dialect)) {
	t.Helper()
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) { fn(t, d) })
	}
}

// open connects, through addr where it is not empty, and makes the tables.
func open(tb testing.TB, d sqldialect.Dialect, addr string) *database {
	tb.Helper()
	db := connect(tb, d, addr)
	return &database{DB: db, dialect: d, prefix: tables(tb, db, d)}
}

func connect(tb testing.TB, d sqldialect.Dialect, addr string) *sql.DB {
	tb.Helper()
	driver, dsn := dataSource(tb, d, addr)
	db, err := sql.Open(driver, dsn)
	must(tb, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func dataSource(tb testing.TB, d sqldialect.Dialect, addr string) (driver, dsn string) {
	tb.Helper()
	if d == sqldialect.PostgreSQL {
		u := server(tb, "POSTGRES_URL")
		if addr != "" {
			u.Host = addr
		}
		return "pgx", u.String()
	}
	u := server(tb, "MYSQL_URL")
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	cfg.Logger = &mysql.NopLogger{}
	if addr != "" {
		cfg.Addr = addr
	}
	return "mysql", cfg.FormatDSN()
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
	})
	return prefix
}

// redisClient connects to Redis, through addr where it is not empty, with a
// prefix of the test's own.
func redisClient(tb testing.TB, addr string) (client *goredis.Client, prefix string) {
	tb.Helper()
	u := server(tb, "REDIS_URL")
	if addr != "" {
		u.Host = addr
	}
	opts, err := goredis.ParseURL(u.String())
	must(tb, err)
	opts.MaxRetries, opts.DialerRetries = -1, 1
	client = goredis.NewClient(opts)
	prefix = "t" + rand.Text()[:10]
	tb.Cleanup(func() {
		keys, _ := client.Keys(context.Background(), prefix+"*").Result()
		if len(keys) > 0 {
			_ = client.Del(context.Background(), keys...).Err()
		}
		_ = client.Close()
	})
	return client, prefix
}

// wire is a connection to a server that can be cut.
type wire struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newWire(tb testing.TB, target string) *wire {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(tb, err)
	w := &wire{listener: l, target: target, conns: map[net.Conn]bool{}}
	w.wg.Go(w.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		w.setCut(true)
		w.wg.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.target)
		w.mu.Lock()
		if err != nil || w.cut {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			w.mu.Unlock()
			continue
		}
		w.conns[near], w.conns[far] = true, true
		w.mu.Unlock()
		w.wg.Go(func() { pipe(near, far) })
		w.wg.Go(func() { pipe(far, near) })
	}
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
}

// pass lets d pass where only the server has a clock.
func pass(d time.Duration) { <-time.NewTimer(d).C }

// until repeats try until it succeeds, for 10 s at most.
func until(tb testing.TB, try func() error) {
	tb.Helper()
	end, tick := time.NewTimer(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	defer end.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-end.C:
			tb.Fatalf("after 10 s still: %v", err)
		case <-tick.C:
		}
	}
}
