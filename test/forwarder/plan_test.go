package forwarder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/test/place"
)

// planRows is how many messages lie in the outbox while plans are looked at.
const planRows = 300_000

// fillOutbox inserts planRows rows, spread over the shards, by the database.
func (w *theirs) fillOutbox() {
	w.t.Helper()
	table := w.prefix + "outbox"
	query := "INSERT INTO " + table + ` (shard, topic, message_key, message_uuid, payload, headers)
		SELECT n % 32, 'orders', 'k' || n, 'u' || n, 'x', '{}' FROM generate_series(1, ` + fmt.Sprint(planRows) + ") n"
	if w.mysql {
		query = "INSERT INTO " + table + ` (shard, topic, message_key, message_uuid, payload, headers, created_at)
			SELECT seq % 32, 'orders', CONCAT('k', seq), CONCAT('u', seq), 'x', '{}', 0 FROM seq_1_to_` + fmt.Sprint(planRows)
	}
	_, err := w.db.Exec(query)
	w.must(err)
	place.Analyze(w.t, w.db, w.dialect(), table)
}

// pickyBroker refuses some messages in each way and stops after many.
type pickyBroker struct {
	mu    sync.Mutex
	count int
	stop  func()
}

func (p *pickyBroker) Publish(_ string, msgs ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range msgs {
		p.count++
		if p.count == 20_000 {
			p.stop()
		}
		switch {
		case strings.HasSuffix(m.UUID, "77"):
			return errors.New("not now")
		case strings.HasSuffix(m.UUID, "99"):
			return failure.Permanent(errors.New("never"))
		}
	}
	return nil
}

func (*pickyBroker) Close() error { return nil }

// kindOf names what a statement does: "move" is what brings rows into the
// history, in one statement or as the first of two.
func kindOf(query, prefix string) string {
	for _, verb := range []string{"INSERT INTO ", "REPLACE INTO "} {
		if _, rest, ok := strings.Cut(query, verb); ok && strings.HasPrefix(strings.TrimLeft(rest, "`\""), prefix+"outbox_history") {
			return "move"
		}
	}
	verb, _, _ := strings.Cut(strings.TrimLeft(query, "( "), " ")
	return verb
}

// The statements are those that a relay really ran, taken from the driver.
func TestTheQueriesOfTheRelayUseIndexes(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		w.fillOutbox()
		db, rec := w.recorded()
		o, err := forwarder.New(db, forwarder.Config{Prefix: w.prefix, Dialect: w.dialect()})
		w.must(err)
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		w.must(o.Relay(ctx, &pickyBroker{stop: stop}))
		seen, stretches := map[string]int{}, false
		for query, args := range rec.Statements() {
			kind := kindOf(query, w.prefix)
			if !strings.Contains(query, w.prefix+"outbox") || strings.HasPrefix(query, "CREATE") {
				continue
			}
			seen[kind]++
			plan := place.Explain(t, w.db, w.dialect(), query, args...)
			stretch := strings.Contains(query, "shard + 0")
			stretches = stretches || stretch
			// A stretch and a glance go along the primary key, the others by shard.
			along := stretch || kind == "SELECT" && strings.Contains(query, "ORDER BY id LIMIT") && !strings.Contains(query, "shard = ")
			if strings.Contains(plan, "Seq Scan on "+w.prefix+"outbox ") || strings.Contains(plan, "Seq Scan on "+w.prefix+"outbox\n") ||
				(kind == "SELECT" && strings.Contains(plan, "Sort")) ||
				strings.Contains(plan, "type=ALL") && strings.Contains(plan, "table="+w.prefix+"outbox ") ||
				strings.Contains(plan, "Using filesort") ||
				along && !strings.Contains(plan, "outbox_pkey") && !strings.Contains(plan, "key=PRIMARY") ||
				!along && strings.Contains(query, " UNION ALL ") && strings.Count(plan, w.prefix+"outbox_shard_id") < 16 {
				t.Errorf("%.300s\n%s", query, plan)
			}
		}
		if !stretches {
			t.Error("no stretch of the table was read: this run shows nothing of it")
		}
		want := []string{"SELECT", "move", "DELETE", "UPDATE"}
		if !w.mysql { // where the statement that moves deletes too
			want = []string{"SELECT", "move", "UPDATE"}
		}
		for _, kind := range want {
			if seen[kind] == 0 {
				t.Errorf("no %s was seen: this run shows nothing", kind)
			}
		}
	})
}
