package stack_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

func (p place) insertAll(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
	for _, msg := range msgs {
		if err := p.insert(ctx, tx, msg); err != nil {
			return err
		}
	}
	return nil
}

// facts counts events.
type facts struct {
	mu   sync.Mutex
	seen map[any]int
}

func (f *facts) observe(e sluicegate.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[any]int{}
	}
	f.seen[e.Kind]++
}

func (f *facts) of(kind any) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[kind]
}

func batchStack(t *testing.T, p place, cfg sluicegate.Config, bc sluicegate.BatchConfig, fn sluicegate.BatchHandler) *broker.Broker {
	t.Helper()
	cfg.Prefix, cfg.Retry = p.prefix, quick()
	return start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
		return s.HandleBatch(r, "stock", "orders", b.Group("stock"), fn, bc)
	})
}

func publishAll(t *testing.T, b *broker.Broker, ids ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			if err := b.Publish("orders", message.NewMessage(id, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func orders(from, to int) []string {
	var ids []string
	for i := from; i < to; i++ {
		// Quotes and backslashes, since keys are the sender's to choose.
		ids = append(ids, fmt.Sprintf(`order "%03d" \ {it's}, é`, i))
	}
	return ids
}

func (p place) onceEach(t *testing.T, want int) {
	t.Helper()
	distinct := p.count(t, "SELECT COUNT(DISTINCT message) FROM "+p.table("effect"))
	if n := p.effects(t); n != want || distinct != want {
		t.Errorf("%d effects of %d messages, want one each of %d", n, distinct, want)
	}
}

func TestABatchHasEachEffectOnceWhateverIsADuplicate(t *testing.T) {
	onDatabases(t, func(t *testing.T, p place) {
		var seen facts
		b := batchStack(t, p, sluicegate.Config{Observe: seen.observe}, sluicegate.BatchConfig{MaxBatch: 40}, p.insertAll)
		publishAll(t, b, orders(0, 100)...)
		p.onceEach(t, 100)
		// New ones, old ones, and both of them twice at the same time.
		publishAll(t, b, slices.Concat(orders(50, 200), orders(80, 220))...)
		p.onceEach(t, 220)
		handled, duplicates := seen.of(sluicegate.Handled), seen.of(sluicegate.Duplicate)
		if handled != 220 || duplicates != 170 {
			t.Errorf("%d handled, %d duplicates; want 220, 170", handled, duplicates)
		}
		done := p.count(t, "SELECT COUNT(*) FROM "+p.table("inbox")+" WHERE status = 'done' AND attempts = 1 AND expires_at > 0")
		if done != 220 {
			t.Errorf("%d records, want 220", done)
		}
	})
}

func TestAPoisonInABatchOnARealDatabaseHarmsNoOther(t *testing.T) {
	onDatabases(t, func(t *testing.T, p place) {
		for name, fail := range map[string]func(ctx context.Context, tx *sql.Tx) error{
			"in SQL": func(ctx context.Context, tx *sql.Tx) error { // aborts a PostgreSQL transaction
				_, err := tx.ExecContext(ctx, "INSERT INTO nowhere_at_all VALUES (1)")
				return err
			},
			"time-out": func(ctx context.Context, _ *sql.Tx) error { <-ctx.Done(); return ctx.Err() },
			"panic":    func(context.Context, *sql.Tx) error { panic("boom") },
		} {
			t.Run(name, func(t *testing.T) {
				before := p.effects(t)
				letters := p.count(t, "SELECT COUNT(*) FROM "+p.table("dead_letter"))
				var seen facts
				cfg := sluicegate.Config{Timeout: 300 * time.Millisecond, Observe: seen.observe, Park: sluicegate.ParkConfig{Off: true}}
				b := batchStack(t, p, cfg, sluicegate.BatchConfig{}, func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
					err := p.insertAll(ctx, tx, msgs)
					if slices.ContainsFunc(msgs, func(m *message.Message) bool { return strings.HasPrefix(m.UUID, "poison") }) {
						return errors.Join(err, fail(ctx, tx))
					}
					return err
				})
				ids := []string{"poison " + name}
				for i := range 60 {
					ids = append(ids, fmt.Sprintf("%s %d", name, i))
				}
				publishAll(t, b, ids...)
				if n := p.effects(t) - before; n != 60 {
					t.Errorf("%d effects, want those of the 60 others", n)
				}
				if n := p.count(t, "SELECT COUNT(*) FROM "+p.table("dead_letter")) - letters; n != 1 {
					t.Errorf("%d letters, want that of the poison", n)
				}
				if n := seen.of(sluicegate.Retried); n != 2 {
					t.Errorf("%d retries, want the poison's 2", n)
				}
			})
		}
	})
}

// Two processes that are given the same keys in opposite orders.
func TestTwoBatchesThatShareKeysDoNotDeadlock(t *testing.T) {
	onDatabases(t, func(t *testing.T, p place) {
		store, err := sqlstore.New(p.db, sqlstore.Config{Prefix: p.prefix})
		if err != nil {
			t.Fatal(err)
		}
		const rounds, keys = 15, 200
		var won atomic.Int64
		for round := range rounds {
			var wg sync.WaitGroup
			for side := range 2 {
				claims := make([]idemstore.Claim, keys)
				for i := range claims {
					claims[i] = idemstore.Claim{Key: idemstore.Key{Handler: "stock", ID: fmt.Sprintf("%d-%03d", round, i)}, Retention: time.Hour}
				}
				if side == 1 {
					slices.Reverse(claims)
				}
				wg.Go(func() {
					recs, err := claimBatch(t.Context(), p, store, claims)
					if err != nil {
						t.Error(err)
					}
					for _, rec := range recs {
						if rec.Verdict == idemstore.Won {
							won.Add(1)
						}
					}
				})
			}
			wg.Wait()
		}
		if n := won.Load(); n != rounds*keys {
			t.Errorf("%d claims won, want %d", n, rounds*keys)
		}
	})
}

// What a crash between the commit and the acks leaves is delivered again, to
// another process.
func TestABatchThatCommittedBeforeACrashHasOneEffectWhenItComesAgain(t *testing.T) {
	onDatabases(t, func(t *testing.T, p place) {
		first := &amnesiac{ids: orders(0, 120)}
		run := func(sub *amnesiac) *facts {
			var seen facts
			cfg := sluicegate.Config{Observe: seen.observe}
			cfg.Prefix = p.prefix
			start(t, p, cfg, func(s *sluicegate.Stack, r *message.Router, _ *broker.Broker) error {
				sub.left.Add(len(sub.ids))
				return s.HandleBatch(r, "stock", "orders", sub, p.insertAll, sluicegate.BatchConfig{MaxBatch: 30})
			})
			sub.left.Wait()
			return &seen
		}
		run(first)
		seen := run(&amnesiac{ids: first.ids})
		p.onceEach(t, 120)
		if n := seen.of(sluicegate.Duplicate); n != 120 {
			t.Errorf("%d duplicates, want 120", n)
		}
	})
}

// amnesiac is a subscriber that forgets its acks.
type amnesiac struct {
	ids  []string
	left sync.WaitGroup
}

func (a *amnesiac) Close() error { return nil }

func (a *amnesiac) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message, len(a.ids))
	for _, id := range a.ids {
		msg := message.NewMessage(id, nil)
		msg.SetContext(ctx)
		out <- msg
		go func() {
			defer a.left.Done()
			select {
			case <-msg.Acked():
			case <-msg.Nacked():
			}
		}()
	}
	context.AfterFunc(ctx, func() { close(out) })
	return out, nil
}
