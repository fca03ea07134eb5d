package forwardertest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

var orderCases = []Case{
	{Name: "order per key holds while relays come and go", Run: rebalancing},
	{Name: "one message of a key is in flight where there are no batches", Run: oneInFlight},
	{Name: "all messages of a single key are drained in order", Run: skewed},
	{Name: "a row that commits late with a lower id is delivered", Concurrent: true, Run: lateCommit},
	{Name: "a row that commits after the floor has passed it is found by the sweep", Concurrent: true, Run: veryLateCommit},
	{Name: "a row that commits late keeps its place before its key's next", Concurrent: true, Run: lateInOrder},
	{Name: "order per key holds for writers that serialise on the key", Concurrent: true, Run: serialisedWriters},
}

func rebalancing(tb testing.TB, h Harness) {
	forms(tb, func(tb testing.TB, form func(*fakeBroker) message.Publisher) {
		b := open(tb, h)
		broker := &fakeBroker{}
		cfg := quick()
		cfg.Lease, cfg.BatchSize = 800*time.Millisecond, 20
		const keys, each = 20, 40
		b.relay(form(broker), cfg)
		var second running
		for n := range each {
			switch n {
			case each / 4:
				second = b.relay(form(broker), cfg)
			case each / 2:
				b.eventually("the second relay has shards", func() bool { return second.Stats().Shards > 0 })
			case each * 3 / 4:
				b.eventually("the second relay delivers", func() bool { return second.Stats().Delivered > 0 })
				second.stop()
			}
			msgs := make([]*message.Message, keys)
			for k := range keys {
				msgs[k] = keyed(fmt.Sprintf("k%d", k), n)
			}
			b.put("orders", msgs...)
		}
		b.drained()
		inOrder(tb, broker.deliveries(), keys, each)
		if n := broker.count(); n != keys*each {
			tb.Errorf("%d deliveries, want %d: nobody crashed", n, keys*each)
		}
	})
}

func oneInFlight(tb testing.TB, h Harness) {
	b := open(tb, h)
	var mu sync.Mutex
	flying := map[string]int{}
	most, all := 0, 0
	broker := &fakeBroker{answer: func(_ string, m *message.Message) error {
		key := m.Metadata.Get("sluicegate_key")
		mu.Lock()
		flying[key]++
		all++
		if flying[key] > 1 {
			tb.Errorf("two messages of key %s in flight", key)
		}
		most = max(most, all)
		mu.Unlock()
		<-time.After(time.Millisecond)
		mu.Lock()
		flying[key]--
		all--
		mu.Unlock()
		return nil
	}}
	const keys, each = 20, 20
	var msgs []*message.Message
	for n := range each {
		for k := range keys {
			msgs = append(msgs, keyed(fmt.Sprintf("k%d", k), n))
		}
	}
	b.put("orders", msgs...)
	b.relay(plain{broker}, quick())
	b.drained()
	inOrder(tb, broker.deliveries(), keys, each)
	if most < 4 {
		tb.Errorf("at most %d keys were published at once", most)
	}
}

func skewed(tb testing.TB, h Harness) {
	b := open(tb, h)
	each := 3000
	if h.Slow {
		each = 1000
	}
	msgs := make([]*message.Message, each)
	for n := range msgs {
		msgs[n] = keyed("hot", n)
	}
	b.put("orders", msgs...)
	var batches atomic.Int64
	broker := &fakeBroker{after: func() { batches.Add(1) }}
	cfg := quick()
	cfg.BatchSize = 500
	b.relay(newBatched(broker), cfg)
	b.drained()
	inOrder(tb, broker.deliveries(), 1, each)
	// Two lanes of 16 shards each: without growing, a read would bring 32 rows.
	if n := batches.Load(); n > 60 {
		tb.Errorf("%d batches for %d messages of one key", n, each)
	}
}

func lateCommit(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	cfg := quick()
	cfg.Sweep = time.Hour // what is found here is found by the floor alone
	b.relay(newBatched(broker), cfg)
	early, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	defer func() { _ = early.Rollback() }()
	must(tb, b.Publish(b.ctx, early, "orders", keyed("same", 0)))
	b.put("orders", keyed("same", 1), keyed("same", 2))
	b.eventually("what committed is delivered", func() bool { return broker.count() == 2 })
	must(tb, early.Commit())
	b.eventually("the late one is delivered", func() bool { return broker.count() == 3 })
	b.drained()
}

func veryLateCommit(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	cfg := quick()
	cfg.FloorLag = 10 * time.Millisecond
	if b.d == sqldialect.PostgreSQL {
		cfg.Sweep = time.Hour // where snapshots tell, none is needed
	}
	r := b.relay(newBatched(broker), cfg)
	early, err := b.db.BeginTx(b.ctx, nil)
	must(tb, err)
	defer func() { _ = early.Rollback() }()
	// The same key: the same shard, whose floor the other messages move.
	must(tb, b.Publish(b.ctx, early, "orders", keyed("same", 0)))
	for n := range 50 {
		b.put("orders", keyed("same", n+1))
		b.eventually("what committed is delivered", func() bool { return broker.count() == n+1 })
	}
	must(tb, early.Commit())
	b.eventually("the late one is delivered", func() bool { return broker.count() == 51 })
	b.drained()
	if stats := r.Stats(); stats.Late+stats.Rereads == 0 {
		tb.Error("the row was not below the floor: this run shows nothing")
	}
}

// lateInOrder has a writer stay open while its shard's floor moves past its row,
// and the next writer of the key follow as soon as it has committed. Only
// PostgreSQL tells which transactions are open; elsewhere FloorLag must be longer.
func lateInOrder(tb testing.TB, h Harness) {
	b := open(tb, h)
	broker := &fakeBroker{}
	cfg := quick()
	cfg.Sweep = time.Hour
	exact := b.d == sqldialect.PostgreSQL
	if exact {
		cfg.FloorLag = 10 * time.Millisecond
	}
	r := b.relay(newBatched(broker), cfg)
	const rounds, others = 5, 40
	sent := 0
	for round := range rounds {
		early, err := b.db.BeginTx(b.ctx, nil)
		must(tb, err)
		must(tb, b.Publish(b.ctx, early, "orders", keyed("same", 2*round)))
		for n := range others { // over all shards, that of the key among them
			b.put("orders", keyed(fmt.Sprintf("other-%d", n), round))
			sent++
			b.eventually("what committed is delivered", func() bool { return broker.count() == sent })
		}
		must(tb, early.Commit())
		b.put("orders", keyed("same", 2*round+1))
		sent += 2
		b.eventually("both are delivered", func() bool { return broker.count() == sent })
	}
	b.drained()
	for i, n := range firsts(broker.deliveries())["same"] {
		if n != i {
			tb.Fatalf("message %d of the key arrived in place %d", n, i)
		}
	}
	if exact && r.Stats().Rereads == 0 {
		tb.Error("no floor was above the row: this run shows nothing")
	}
}

func serialisedWriters(tb testing.TB, h Harness) {
	b := open(tb, h)
	table := b.d.Quote(b.names.Plain("entity"))
	_, err := b.db.ExecContext(b.ctx, "CREATE TABLE "+table+" (k VARCHAR(20) PRIMARY KEY, n INTEGER NOT NULL)")
	must(tb, err)
	tb.Cleanup(func() { _, _ = b.db.Exec("DROP TABLE " + table) })
	broker := &fakeBroker{}
	cfg := quick()
	cfg.BatchSize, cfg.Lease = 10, 500*time.Millisecond
	b.relay(newBatched(broker), cfg)
	b.relay(plain{broker}, cfg)
	const keys, each, writers = 5, 40, 4
	for k := range keys {
		_, err := b.db.ExecContext(b.ctx, b.d.Bind("INSERT INTO "+table+" (k, n) VALUES (?, 0)"), fmt.Sprintf("k%d", k))
		must(tb, err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range keys * each / writers {
				if err := b.serialised(table, fmt.Sprintf("k%d", (i+w)%keys)); err != nil {
					tb.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.drained()
	inOrder(tb, broker.deliveries(), keys, each)
}

// serialised numbers a message under the row lock of its key and commits at some
// later moment.
func (b *box) serialised(table, key string) error {
	tx, err := b.db.BeginTx(b.ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(b.ctx, b.d.Bind("UPDATE "+table+" SET n = n + 1 WHERE k = ?"), key); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(b.ctx, b.d.Bind("SELECT n FROM "+table+" WHERE k = ?"), key).Scan(&n); err != nil {
		return err
	}
	if err := b.Publish(b.ctx, tx, "orders", keyed(key, n-1)); err != nil {
		return err
	}
	<-time.After(rand.N(5 * time.Millisecond))
	if err := tx.Commit(); err != nil {
		return err
	}
	b.Wake()
	return nil
}
