package stack_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// tiny gives up after six attempts, the last three of them 50 ms apart.
func tiny(p place) sluicegate.Config {
	cfg := p.config()
	cfg.Retry = quick()
	cfg.Park = sluicegate.ParkConfig{
		Policy:  park.Policy{Schedule: park.Schedule{MaxAttempts: 6, Delays: []time.Duration{50 * time.Millisecond}}},
		PollMax: 100 * time.Millisecond,
	}
	return cfg
}

// eventually waits for what others do meanwhile.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// parkStrengths runs a test on each database under both strengths, Redis being the
// store of Claimed.
func parkStrengths(t *testing.T, test func(t *testing.T, p place, cfg sluicegate.Config)) {
	t.Run("sql", func(t *testing.T) {
		onDatabases(t, func(t *testing.T, p place) { test(t, p, tiny(p)) })
	})
	t.Run("redis", func(t *testing.T) {
		onDatabases(t, func(t *testing.T, p place) {
			cfg := tiny(p)
			cfg.Store = openRedis(t)
			test(t, p, cfg)
		})
	})
}

func TestAParkedMessageOnARealDatabase(t *testing.T) {
	parkStrengths(t, func(t *testing.T, p place, cfg sluicegate.Config) {
		var calls atomic.Int32
		var seen facts
		cfg.Observe = seen.observe
		b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
			return s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
				n := calls.Add(1)
				if err := p.insert(ctx, tx, msg); err != nil {
					return err
				}
				if strings.HasPrefix(msg.UUID, "poison") || n < 5 {
					return errors.New("the warehouse says no")
				}
				return nil
			})
		})
		publish := func(id string) {
			t.Helper()
			msg := message.NewMessage(id, []byte{0, 0xff, 'x'})
			msg.Metadata.Set("sluicegate_key", "ada")
			if err := b.Publish("orders", msg); err != nil {
				t.Fatal(err)
			}
		}
		publish("order-1")
		publish("order-1") // a duplicate, wherever the first one is by now
		eventually(t, "it heals", func() bool { return p.effects(t) == 1 })
		publish("poison")
		eventually(t, "the poison is set aside", func() bool {
			return p.count(t, "SELECT COUNT(*) FROM "+p.table("dead_letter")) == 1
		})
		eventually(t, "both tasks are settled", func() bool {
			return p.count(t, "SELECT COUNT(*) FROM "+p.table("task")+" WHERE status = 'done'") == 1 &&
				p.count(t, "SELECT COUNT(*) FROM "+p.table("task")+" WHERE status = 'dead'") == 1
		})
		before := calls.Load()
		publish("order-1")
		publish("poison")
		if n := calls.Load(); n != before {
			t.Error("a duplicate ran")
		}
		var attempts []struct{ Number int }
		var text string
		if err := p.db.QueryRow("SELECT attempts FROM " + p.table("dead_letter")).Scan(&text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &attempts); err != nil || len(attempts) != 6 || attempts[5].Number != 6 {
			t.Errorf("the letter lists %s, want six attempts: %v", text, err)
		}
		if n := p.effects(t); n != 1 {
			t.Errorf("%d effects, want 1", n)
		}
	})
}

func TestHeldMessagesOfAKeyKeepTheirOrderOnARealDatabase(t *testing.T) {
	parkStrengths(t, func(t *testing.T, p place, cfg sluicegate.Config) {
		cfg.Park.Policy.Order = park.Hold
		cfg.Park.Policy.MaxAttempts = 50
		var healed atomic.Bool
		if _, err := p.db.Exec("CREATE TABLE " + p.table("log") + " (n BIGINT NOT NULL, message VARCHAR(255) NOT NULL)"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = p.db.Exec("DROP TABLE IF EXISTS " + p.table("log")) })
		var at atomic.Int64
		b := start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
			return s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
				if msg.UUID == "a0" && !healed.Load() {
					return errors.New("the warehouse says no")
				}
				_, err := tx.ExecContext(ctx, p.dialect.Bind("INSERT INTO "+p.table("log")+" (n, message) VALUES (?, ?)"), at.Add(1), msg.UUID)
				return err
			})
		})
		ids := []string{"a0", "a1", "a2", "a3", "a4", "a5"}
		for _, id := range ids {
			msg := message.NewMessage(id, nil)
			msg.Metadata.Set("sluicegate_key", "ada")
			if err := b.Publish("orders", msg); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.count(t, "SELECT COUNT(*) FROM "+p.table("log")); n != 0 {
			t.Errorf("%d took effect ahead of the parked one", n)
		}
		healed.Store(true)
		eventually(t, "all are applied", func() bool { return p.count(t, "SELECT COUNT(*) FROM "+p.table("log")) == len(ids) })
		rows, err := p.db.Query("SELECT message FROM " + p.table("log") + " ORDER BY n")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for _, want := range ids {
			var got string
			if !rows.Next() || rows.Scan(&got) != nil || got != want {
				t.Errorf("applied %s, want %s", got, want)
			}
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
	})
}

// childVariable tells a child process which tables it works on.
const childVariable = "SLUICEGATE_TEST_PARK_CHILD"

// A process that is killed after the effect of a parked message has committed and
// before its task is settled. Another one finds the task when its lease ends, and the
// effect's record.
func TestAProcessKilledBetweenEffectAndSettleLeavesOneEffect(t *testing.T) {
	if child := os.Getenv(childVariable); child != "" {
		parkAndDie(t, child)
		return
	}
	parkStrengths(t, func(t *testing.T, p place, cfg sluicegate.Config) {
		where := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
		store := "sql"
		if cfg.Store != nil {
			store, cfg.Store = "redis", redisAt(t, p.prefix)
		}
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()[:strings.IndexByte(t.Name(), '/')]+"$", "-test.timeout", "60s")
		child.Env = append(os.Environ(), childVariable+"="+where+" "+store+" "+p.prefix)
		out, err := child.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != killed {
			t.Fatalf("the child ended with %v:\n%s", err, out)
		}
		if n := p.effects(t); n != 1 {
			t.Fatalf("%d effects of the child, want 1", n)
		}
		if n := p.count(t, "SELECT COUNT(*) FROM "+p.table("task")+" WHERE status = 'waiting'"); n != 1 {
			t.Fatalf("%d tasks are unsettled, want 1", n)
		}
		// Its lease is over, as it will be in a minute.
		if _, err := p.db.Exec("UPDATE " + p.table("task") + " SET claim_at = 1"); err != nil {
			t.Fatal(err)
		}
		var seen facts
		cfg.Observe = seen.observe
		start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
			return s.Handle(r, "stock", "orders", b.Group("stock"), p.insert)
		})
		eventually(t, "the task is settled", func() bool {
			return p.count(t, "SELECT COUNT(*) FROM "+p.table("task")+" WHERE status = 'done'") == 1
		})
		if n := p.effects(t); n != 1 || seen.of(sluicegate.Duplicate) != 1 {
			t.Errorf("%d effects, %d duplicates; want 1, 1", n, seen.of(sluicegate.Duplicate))
		}
	})
}

// killed is the exit code of the child.
const killed = 7

func parkAndDie(t *testing.T, child string) {
	words := strings.Fields(child) // database, store, prefix
	db, err := database.Open(os.Getenv(map[string]string{"postgres": "POSTGRES_URL", "mariadb": "MYSQL_URL"}[words[0]]))
	if err != nil {
		t.Fatal(err)
	}
	d, err := sqldialect.Detect(db)
	if err != nil {
		t.Fatal(err)
	}
	p := place{db: db, dialect: d, prefix: words[2]}
	cfg := tiny(p)
	if words[1] == "redis" {
		cfg.Store = redisAt(t, p.prefix)
	}
	cfg.Observe = func(e sluicegate.Event) {
		if e.Kind == sluicegate.Handled { // told after the commit, before the chain returns
			os.Exit(killed) //nolint:revive // as a kill does: nothing after it
		}
	}
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
	var calls atomic.Int32
	err = s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
		if calls.Add(1) <= 3 {
			return errors.New("the warehouse says no")
		}
		return p.insert(ctx, tx, msg)
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(context.Background(), r) }()
	<-r.Running()
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
		t.Fatal(err)
	}
	<-time.After(30 * time.Second)
	t.Fatal("the parked message was not handled")
}
