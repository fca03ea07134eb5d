package outage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/kafka"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/kafkatest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/middleware/park"
)

const topic = "orders.placed"

var services = []string{"stock", "points"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	every(t, 20*time.Millisecond, limit, what, ok)
}

// every is eventually for what takes its time to find out.
func every(t *testing.T, pause, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func startKafka(t *testing.T) *kafkatest.Server {
	t.Helper()
	s, err := kafkatest.Start(t.Context(), kafkatest.Config{})
	if errors.Is(err, kafkatest.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// place is a database with tables of this test alone.
type place struct {
	db     *sql.DB
	prefix string
	box    *forwarder.Outbox
}

func openPlace(t *testing.T) place {
	t.Helper()
	url := os.Getenv("POSTGRES_URL")
	if url == "" {
		t.Skip("POSTGRES_URL is not set: eval \"$(scripts/services env)\"")
	}
	db, err := database.Open(url)
	must(t, err)
	p := place{db: db, prefix: fmt.Sprintf("t%08x_", rand.Uint32())}
	t.Cleanup(func() {
		for _, name := range append(schema.Tables(), "applied") {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + p.table(name))
		}
		_ = db.Close()
	})
	must(t, sluicegate.Migrate(t.Context(), db, sluicegate.Config{Prefix: p.prefix}))
	// No unique key, so that a double effect shows.
	_, err = db.Exec("CREATE TABLE " + p.table("applied") + " (id BIGINT GENERATED ALWAYS AS IDENTITY, service TEXT, message_key TEXT, number INT)")
	must(t, err)
	p.box, err = forwarder.New(db, forwarder.Config{Prefix: p.prefix})
	must(t, err)
	return p
}

func (p place) table(name string) string { return p.prefix + name }

func (p place) count(t *testing.T, query string) (n int) {
	t.Helper()
	must(t, p.db.QueryRow(query).Scan(&n))
	return n
}

func (p place) applied(t *testing.T) int {
	t.Helper()
	return p.count(t, "SELECT COUNT(*) FROM "+p.table("applied"))
}

func openBroker(t *testing.T, addr string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), "kafka://"+addr+"?partitions=4", broker.Config{})
	must(t, err)
	return b
}

// relay runs a relay; done stops it.
func (p place) relay(t *testing.T, addr string) (r *forwarder.Relay, done func()) {
	t.Helper()
	b := openBroker(t, addr)
	r, err := p.box.NewRelay(b, forwarder.RelayConfig{Park: forwarder.ParkConfig{Hold: true}})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	return r, func() {
		cancel()
		wg.Wait()
		_ = b.Close()
	}
}

// consume runs the services. One message in 499 fails five times, which is twice more than the
// attempts at once; they are spread, or the circuit would take it for an outage.
func (p place) consume(t *testing.T, addr string) (done func()) {
	t.Helper()
	b := openBroker(t, addr)
	s, err := sluicegate.New(p.db, sluicegate.Config{
		Prefix: p.prefix,
		Park: sluicegate.ParkConfig{PollMax: 100 * time.Millisecond, Policy: park.Policy{
			Order: park.Hold, Schedule: park.Schedule{Delays: []time.Duration{300 * time.Millisecond}},
		}},
	})
	must(t, err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	must(t, err)
	for _, service := range services {
		f := failing{times: map[string]int{}}
		must(t, s.Handle(router, service, topic, b.Group(service), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			key, number, _ := strings.Cut(string(msg.Payload), " ")
			if _, err := tx.ExecContext(ctx, "INSERT INTO "+p.table("applied")+" (service, message_key, number) VALUES ($1, $2, $3)", service, key, number); err != nil {
				return err
			}
			return f.check(key, number)
		}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx, router); err != nil {
			t.Errorf("services: %v", err)
		}
	})
	<-router.Running()
	return func() {
		cancel()
		wg.Wait()
		_ = b.Close()
	}
}

// failing counts how often messages have failed.
type failing struct {
	mu    sync.Mutex
	times map[string]int
}

func (f *failing) check(key, number string) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	if n, err := strconv.Atoi(number); err != nil || (uint32(n)+h.Sum32())%499 != 0 {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times[key+" "+number]++; f.times[key+" "+number] <= 5 {
		return errors.New("the warehouse says no")
	}
	return nil
}
