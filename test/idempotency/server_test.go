package idempotency_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var variables = map[sqldialect.Dialect]string{sqldialect.PostgreSQL: "POSTGRES_URL", sqldialect.MySQL: "MYSQL_URL"}

// open connects, through addr where it is not empty, and makes the tables.
func open(tb testing.TB, d sqldialect.Dialect, addr string) *place.Database {
	tb.Helper()
	driver, dsn := place.Address(tb, d)
	switch {
	case addr == "":
	case d == sqldialect.PostgreSQL:
		u := place.URL(tb, variables[d])
		u.Host = addr
		dsn = u.String()
	default:
		cfg, err := mysql.ParseDSN(dsn)
		place.Must(tb, err)
		cfg.Addr = addr
		dsn = cfg.FormatDSN()
	}
	return place.OpenAt(tb, d, driver, dsn)
}

// redisClient connects to Redis, through addr where it is not empty, with a
// prefix of the test's own.
func redisClient(tb testing.TB, addr string) (client *goredis.Client, prefix string) {
	tb.Helper()
	u := place.URL(tb, "REDIS_URL")
	if addr != "" {
		u.Host = addr
	}
	opts, err := goredis.ParseURL(u.String())
	place.Must(tb, err)
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
	place.Must(tb, err)
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
