// Package stack_test runs the chains of the stack on real databases and Redis.
package stack_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a database with tables of this test alone.
type place struct {
	db      *sql.DB
	dialect sqldialect.Dialect
	prefix  string
}

func (p place) table(name string) string { return p.prefix + name }

func (p place) config() sluicegate.Config { return sluicegate.Config{Prefix: p.prefix} }

func (p place) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := p.db.QueryRow(p.dialect.Bind(query), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (p place) insert(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	_, err := tx.ExecContext(ctx, p.dialect.Bind("INSERT INTO "+p.table("effect")+" (message) VALUES (?)"), msg.UUID)
	return err
}

func (p place) effects(t *testing.T) int {
	t.Helper()
	return p.count(t, "SELECT COUNT(*) FROM "+p.table("effect"))
}

// onDatabases runs test on PostgreSQL and on MariaDB.
func onDatabases(t *testing.T, test func(t *testing.T, p place)) {
	for name, variable := range map[string]string{"postgres": "POSTGRES_URL", "mariadb": "MYSQL_URL"} {
		t.Run(name, func(t *testing.T) { test(t, openPlace(t, variable)) })
	}
}

func openPlace(t *testing.T, variable string) place {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("%s is not set: eval \"$(scripts/services env)\"", variable)
	}
	db, err := database.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sqldialect.Detect(db)
	if err != nil {
		t.Fatal(err)
	}
	p := place{db: db, dialect: d, prefix: fmt.Sprintf("t%08x_", rand.Uint32())}
	t.Cleanup(func() {
		for _, name := range append(schema.Tables(), "effect") {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + p.table(name))
		}
		_ = db.Close()
	})
	if err := sluicegate.Migrate(t.Context(), db, p.config()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE " + p.table("effect") + " (message VARCHAR(255) NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return p
}

func openRedis(t *testing.T) *redisstore.Store {
	t.Helper()
	return redisAt(t, fmt.Sprintf("t%08x", rand.Uint32()))
}

func redisAt(t *testing.T, prefix string) *redisstore.Store {
	t.Helper()
	url := os.Getenv("REDIS_URL")
	if url == "" {
		t.Skip("REDIS_URL is not set: eval \"$(scripts/services env)\"")
	}
	opts, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(strings.ReplaceAll(err.Error(), url, "REDIS_URL"))
	}
	client := goredis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// started is a stack with one handler at work behind a memory broker.
func start(t *testing.T, p place, cfg sluicegate.Config, install func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error) *broker.Broker {
	t.Helper()
	return startBy(t, p, cfg, func(ctx context.Context, s *sluicegate.Stack, r *message.Router) error { return s.Run(ctx, r) }, install)
}

// startBy is start with another way to run the router.
func startBy(t *testing.T, p place, cfg sluicegate.Config, run func(context.Context, *sluicegate.Stack, *message.Router) error,
	install func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error,
) *broker.Broker {
	t.Helper()
	s, err := sluicegate.New(p.db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(t.Context(), "memory://", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	if err := install(s, r, b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, s, r) }()
	<-r.Running()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = b.Close()
	})
	return b
}
