// Package outage_test takes away what the layers depend on, the broker under load among it, and
// holds the tests of what is taken for the absence of a
// dependency that need the clients of servers, and of what a chain makes of it.
package outage_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama"
	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats.go"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

func TestMain(m *testing.M) {
	// go-metrics, which sarama uses, keeps one goroutine for good.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// closed returns an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAServerThatIsAwayIsRecognisedInTheErrorsOfItsClient(t *testing.T) {
	for name, try := range map[string]func(ctx context.Context, address string) error{
		"Kafka, sarama": func(_ context.Context, address string) error {
			cfg := sarama.NewConfig()
			cfg.Metadata.Retry.Max = 0
			c, err := sarama.NewClient([]string{address}, cfg)
			if err == nil {
				_ = c.Close()
			}
			return err
		},
		"NATS": func(_ context.Context, address string) error {
			c, err := nats.Connect("nats://" + address)
			if err == nil {
				c.Close()
			}
			return err
		},
		"RabbitMQ": func(_ context.Context, address string) error {
			c, err := amqp.Dial("amqp://" + address)
			if err == nil {
				_ = c.Close()
			}
			return err
		},
		"Redis": func(ctx context.Context, address string) error {
			c := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
			defer c.Close()
			return c.Get(ctx, "key").Err()
		},
		"PostgreSQL, pgx": func(ctx context.Context, address string) error {
			c, err := pgx.Connect(ctx, "postgres://user:word@"+address+"/db?sslmode=disable")
			if err == nil {
				_ = c.Close(ctx)
			}
			return err
		},
		"PostgreSQL, database/sql": func(ctx context.Context, address string) error {
			return query(ctx, "pgx", "postgres://user:word@"+address+"/db?sslmode=disable")
		},
		"MySQL": func(ctx context.Context, address string) error {
			return query(ctx, "mysql", "user:word@tcp("+address+")/db")
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := try(t.Context(), closed(t))
			if !unavailable.Is(err) {
				t.Errorf("not recognised: %v (%T)", err, err)
			}
			t.Log(err)
		})
	}
}

func query(ctx context.Context, driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "SELECT 1")
	return err
}

// A backend that an operator ends in the middle of a statement, and a statement
// that its caller's deadline ends.
func TestAPostgreSQLConnectionThatIsEndedIsAnOutageAndADeadlineIsNone(t *testing.T) {
	url := os.Getenv("POSTGRES_URL")
	if url == "" {
		t.Skip("POSTGRES_URL is not set")
	}
	victim, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close(context.Background())
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := victim.Exec(t.Context(), "SELECT pg_sleep(30)")
		ended <- err
	}()
	for pid, done := victim.PgConn().PID(), false; !done; {
		// False until the statement runs.
		if err := other.QueryRow(t.Context(), "SELECT coalesce((SELECT pg_terminate_backend(pid) FROM pg_stat_activity "+
			"WHERE pid = $1 AND query LIKE '%pg_sleep(30)%'), false)", pid).Scan(&done); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !unavailable.Is(err) {
		t.Errorf("not recognised: %v (%T)", err, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := other.Exec(ctx, "SELECT pg_sleep(30)"); !errors.Is(err, context.DeadlineExceeded) || unavailable.Is(err) {
		t.Errorf("a deadline: %v", err)
	}
}

func TestARedisThatStillLoadsOrLostItsMasterIsAwayAndAWrongCommandIsNot(t *testing.T) {
	for text, away := range map[string]bool{
		"LOADING Redis is loading the dataset in memory": true,
		"CLUSTERDOWN The cluster is down":                true,
		"MASTERDOWN Link with MASTER is down":            true,
		"WRONGTYPE Operation against a key":              false,
		"OOM command not allowed":                        false,
	} {
		if err := answer(t, text); unavailable.Is(err) != away {
			t.Errorf("%v (%T): %v, want %v", err, err, !away, away)
		}
	}
}

// answer is go-redis's error for a server that answers everything with text.
func answer(t *testing.T, text string) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			for {
				if _, err := c.Read(b); err != nil {
					break
				}
				_, _ = c.Write([]byte("-" + text + "\r\n"))
			}
			_ = c.Close()
		}
	}()
	c := redis.NewClient(&redis.Options{Addr: l.Addr().String(), MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	defer c.Close()
	return c.Get(t.Context(), "key").Err()
}
