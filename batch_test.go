package sluicegate_test

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
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/outputs"
)

func insertAll(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
	for _, msg := range msgs {
		if err := insertEffect(ctx, tx, msg); err != nil {
			return err
		}
	}
	return nil
}

// shop is a stack with one batch handler behind a memory broker, whose calls it
// notes.
type batchShop struct {
	db   *sql.DB
	seen events
	b    *broker.Broker

	mu    sync.Mutex
	calls [][]string // the UUIDs of each call
}

func newBatchShop(t *testing.T, cfg sluicegate.Config, bc sluicegate.BatchConfig, fn sluicegate.BatchHandler) *batchShop {
	t.Helper()
	s := &batchShop{db: openDB(t)}
	cfg.Retry, cfg.Observe = quick(), s.seen.observe
	stack, err := sluicegate.New(s.db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	s.b = b
	err = stack.HandleBatch(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
		ids := make([]string, len(msgs))
		for i, msg := range msgs {
			ids[i] = msg.UUID
		}
		s.mu.Lock()
		s.calls = append(s.calls, ids)
		s.mu.Unlock()
		return fn(ctx, tx, msgs)
	}, bc)
	if err != nil {
		t.Fatal(err)
	}
	running(t, stack, r)
	return s
}

func (s *batchShop) batches() (n int, largest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		largest = max(largest, len(c))
	}
	return len(s.calls), largest
}

// publish hands all over at once, and waits until all are acked.
func (s *batchShop) publish(t *testing.T, ids ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			if err := s.b.Publish("orders", message.NewMessage(id, []byte(id))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("order-%03d", i)
	}
	return all
}

func (s *batchShop) effects(t *testing.T, want int) {
	t.Helper()
	n, distinct := count(t, s.db, "SELECT COUNT(*) FROM effect"), count(t, s.db, "SELECT COUNT(DISTINCT message) FROM effect")
	if n != want || distinct != want {
		t.Errorf("%d effects of %d messages, want one each of %d", n, distinct, want)
	}
}

func TestABatchSharesATransactionAndADuplicateOfItDoesNotRun(t *testing.T) {
	s := newBatchShop(t, sluicegate.Config{}, sluicegate.BatchConfig{Lanes: 1}, insertAll)
	s.publish(t, ids(150)...)
	n, largest := s.batches()
	if n > 20 || largest > 100 || largest < 10 {
		t.Errorf("%d batches, the largest of %d: they were not gathered, or exceed the default of 100", n, largest)
	}
	s.publish(t, ids(160)...)
	s.effects(t, 160)
	if h, d := s.seen.count(sluicegate.Handled), s.seen.count(sluicegate.Duplicate); h != 160 || d != 150 {
		t.Errorf("%d handled, %d duplicates; want 160, 150", h, d)
	}
	if n := s.seen.count(sluicegate.Split); n != 0 {
		t.Errorf("%d batches failed", n)
	}
}

// blocked returns a handler whose first call waits for release, so that what
// comes meanwhile gathers.
func blocked(fn sluicegate.BatchHandler) (h sluicegate.BatchHandler, entered, release chan struct{}) {
	entered, release = make(chan struct{}), make(chan struct{})
	var first sync.Once
	return func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
		first.Do(func() { close(entered); <-release })
		return fn(ctx, tx, msgs)
	}, entered, release
}

// gathered publishes while a first message keeps the one lane, so that all of
// ids are in one batch, in this order. It wants a bubble of synctest.
func gathered(t *testing.T, cfg sluicegate.Config, fn sluicegate.BatchHandler, ids ...string) *batchShop {
	t.Helper()
	h, entered, release := blocked(fn)
	s := newBatchShop(t, cfg, sluicegate.BatchConfig{Lanes: 1}, h)
	var wg sync.WaitGroup
	wg.Go(func() { s.publish(t, "first") })
	<-entered
	for _, id := range ids {
		wg.Go(func() { s.publish(t, id) })
		synctest.Wait() // it waits for the lane
	}
	close(release)
	wg.Wait()
	return s
}

func TestTheSameMessageTwiceInOneBatchHasOneEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gathered(t, sluicegate.Config{}, insertAll, "a", "b", "a", "b", "a")
		s.effects(t, 3)
		if h, d := s.seen.count(sluicegate.Handled), s.seen.count(sluicegate.Duplicate); h != 3 || d != 3 {
			t.Errorf("%d handled, %d duplicates; want 3, 3", h, d)
		}
		if n, _ := s.batches(); n != 2 {
			t.Errorf("%d calls, want 2: the first message, and the batch of two", n)
		}
	})
}

func TestAPoisonInABatchHarmsNoOther(t *testing.T) {
	failures := map[string]func(ctx context.Context, tx *sql.Tx) error{
		"an error": func(context.Context, *sql.Tx) error { return errors.New("the warehouse says no") },
		"an error of SQL": func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
			return err
		},
		"a panic":    func(context.Context, *sql.Tx) error { panic("boom") },
		"a time-out": func(ctx context.Context, _ *sql.Tx) error { <-ctx.Done(); return ctx.Err() },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { poisoned(t, fail) }) })
	}
}

func poisoned(t *testing.T, fail func(context.Context, *sql.Tx) error) {
	alerts := &recorder{}
	cfg := sluicegate.Config{Timeout: 100 * time.Millisecond, Alerts: alerts, Park: sluicegate.ParkConfig{Off: true}}
	s := gathered(t, cfg, func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
		err := insertAll(ctx, tx, msgs)
		if slices.ContainsFunc(msgs, func(m *message.Message) bool { return m.UUID == "poison" }) {
			return errors.Join(err, fail(ctx, tx))
		}
		return err
	}, "a", "b", "poison", "c", "d")
	s.effects(t, 5)
	letters, err := deadletter.SQL(s.db, deadletter.SQLConfig{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := letters.List(t.Context(), deadletter.Filter{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d letters, %v; want that of the poison", len(list), err)
	}
	if l := list[0]; l.Message.UUID != "poison" || len(l.Attempts) != 3 {
		t.Errorf("the letter of %q has %d attempts, want 3: the batch is none", l.Message.UUID, len(l.Attempts))
	}
	if n := s.seen.count(sluicegate.Split); n != 1 {
		t.Errorf("%d batches failed, want 1", n)
	}
	if n := s.seen.count(sluicegate.Retried); n != 2 {
		t.Errorf("%d retries, want the poison's 2", n)
	}
	if n := alerts.count(); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
	s.publish(t, "a", "b", "poison", "c", "d")
	s.effects(t, 5)
}

func TestMessagesOfABatchStandInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gathered(t, sluicegate.Config{}, insertAll, "z", "m", "a")
		if got := s.calls[len(s.calls)-1]; !slices.Equal(got, []string{"z", "m", "a"}) {
			t.Errorf("the batch was %q", got)
		}
	})
}

func TestWhatABatchPutsOutIsInTheOutboxWithItsEffects(t *testing.T) {
	db := openDB(t)
	s, err := sluicegate.New(db, sluicegate.Config{Retry: quick()})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	var calls atomic.Int32
	err = s.HandleBatchProducing(r, "payment", "orders", b.Group("payment"), "paid",
		func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error) {
			var out []*message.Message
			for _, msg := range msgs {
				paid := message.NewMessage("paid-"+msg.UUID, nil)
				paid.SetContext(msg.Context())
				out = append(out, paid, outputs.To(message.NewMessage("mail-"+msg.UUID, nil), "mail"))
			}
			if err := insertAll(ctx, tx, msgs); err != nil || calls.Add(1) > 1 {
				return out, err
			}
			return out, errors.New("once")
		}, sluicegate.BatchConfig{})
	if err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	msg := message.NewMessage("1", nil)
	msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := b.Publish("orders", msg); err != nil {
		t.Fatal(err)
	}
	second := message.NewMessage("2", nil)
	second.Metadata = msg.Metadata
	if err := b.Publish("orders", second); err != nil {
		t.Fatal(err)
	}
	paid := count(t, db, "SELECT COUNT(*) FROM sluicegate_outbox WHERE topic = 'paid' AND traceparent LIKE '00-0af7651916cd43dd8448eb211c80319c-%'")
	mail := count(t, db, "SELECT COUNT(*) FROM sluicegate_outbox WHERE topic = 'mail'")
	if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 2 || paid != 2 || mail != 2 {
		t.Errorf("%d effects, %d outputs with the trace, %d others; want 2 each", n, paid, mail)
	}
}

func TestABatchHandlerThatCannotWorkIsRefused(t *testing.T) {
	db, b := openDB(t), openMemory(t)
	install := func(cfg sluicegate.Config, fn sluicegate.BatchHandler, bc sluicegate.BatchConfig) error {
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s.HandleBatch(newRouter(t), "stock", "orders", b.Group("stock"), fn, bc)
	}
	around := []message.HandlerMiddleware{func(h message.HandlerFunc) message.HandlerFunc { return h }}
	for want, err := range map[string]error{
		"the function is nil": install(sluicegate.Config{}, nil, sluicegate.BatchConfig{}),
		"Config.Store":        install(sluicegate.Config{Store: memorystore.New()}, insertAll, sluicegate.BatchConfig{}),
		"Config.Around":       install(sluicegate.Config{Around: around}, insertAll, sluicegate.BatchConfig{}),
	} {
		if !errors.Is(err, sluicegate.ErrHandler) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	err := install(sluicegate.Config{}, insertAll, sluicegate.BatchConfig{MaxBatch: -1, Lanes: 65, Linger: -1})
	for _, want := range []string{"BatchConfig.MaxBatch: -1", "BatchConfig.Lanes: 65", "BatchConfig.Linger: -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
}
