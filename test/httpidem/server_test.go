// Package httpidem_test holds package httpidem against real servers, Redis,
// PostgreSQL and MariaDB, and with the routers chi, gin and echo.
package httpidem_test

import (
	"context"
	"crypto/rand"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is one of the two servers, with a table of orders beside ours.
type database struct{ *place.Database }

func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	db := place.Open(tb, d)
	id := "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	if d == sqldialect.MySQL {
		id = "BIGINT AUTO_INCREMENT PRIMARY KEY"
	}
	db.Create(tb, "orders", "id "+id+", number VARCHAR(64) NOT NULL UNIQUE, customer VARCHAR(64) NOT NULL")
	return &database{db}
}

func (db *database) store(tb testing.TB) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.New(db.DB, sqlstore.Config{Prefix: db.Prefix})
	place.Must(tb, err)
	return s
}

func (db *database) orders(tb testing.TB) int {
	tb.Helper()
	var n int
	place.Must(tb, db.QueryRow("SELECT COUNT(*) FROM "+db.Prefix+"orders").Scan(&n))
	return n
}

// insert is a statement that takes a number and a customer.
func (db *database) insert() string {
	return db.Dialect.Bind("INSERT INTO " + db.Prefix + "orders (number, customer) VALUES (?, ?)")
}

func redis(tb testing.TB) httpidem.Store {
	tb.Helper()
	opts, err := goredis.ParseURL(place.URL(tb, "REDIS_URL").String())
	place.Must(tb, err)
	client := goredis.NewClient(opts)
	prefix := "t" + rand.Text()[:10]
	tb.Cleanup(func() {
		if keys, _ := client.Keys(context.Background(), prefix+"*").Result(); len(keys) > 0 {
			_ = client.Del(context.Background(), keys...).Err()
		}
		_ = client.Close()
	})
	s, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	place.Must(tb, err)
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
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		fn(t, open(t, d))
	})
}
