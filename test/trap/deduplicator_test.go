package trap_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// The handler fails once, and the broker delivers again.
func TestTheDeduplicatorLosesAMessageWhoseHandlerFailedOnceAndOursDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		dedup   message.HandlerMiddleware
		effects int
	}{
		"plain": {(&middleware.Deduplicator{
			KeyFactory: middleware.NewMessageHasherSHA256(math.MaxInt64), Timeout: time.Minute,
			Repository: must(middleware.NewMapExpiringKeyRepository(time.Hour))(t),
		}).Middleware, 0},
		"ours": {must(idempotency.New(memorystore.New(), idempotency.Config{}))(t), 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls, effects := 0, 0
			r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
				if calls++; calls == 1 {
					return nil, errBoom
				}
				effects++
				return nil, nil
			}, c.dedup)
			msg := message.NewMessage("1", []byte("order 1"))
			if n, outcome := deliver(r, msg, 5); n != 2 || outcome != routertest.Acked {
				t.Fatalf("%d deliveries, %s", n, outcome)
			}
			if effects != c.effects {
				t.Errorf("%d effects of a message that was acked, want %d", effects, c.effects)
			}
			// A real duplicate has no effect with either.
			if _, outcome := deliver(r, msg, 1); outcome != routertest.Acked || effects != c.effects {
				t.Errorf("a duplicate: %s, %d effects", outcome, effects)
			}
		})
	}
}

// Different messages that look alike to a checksum of 32 bits.
func TestTheDeduplicatorsDefaultKeyTakesDifferentMessagesForOneAndOursDoesNot(t *testing.T) {
	const messages = 100_000
	hash, key := middleware.NewMessageHasherAdler32(math.MaxInt64), idempotency.DefaultKey()
	plain, ours := map[string]bool{}, map[string]bool{}
	for n := range messages {
		msg := message.NewMessage(fmt.Sprint("uuid-", n), fmt.Appendf(nil, `{"order_id":%d,"status":"paid"}`, n))
		plain[must(hash(msg))(t)] = true
		ours[must(key(msg))(t)] = true
	}
	if len(plain) > messages/10 {
		t.Errorf("the plain key tells %d of %d messages apart: the trap is gone", len(plain), messages)
	}
	if len(ours) != messages {
		t.Errorf("our key tells %d of %d messages apart", len(ours), messages)
	}
	t.Logf("told apart of %d messages: plain %d, ours %d", messages, len(plain), len(ours))
}

// Two handlers of one topic, each with an effect of its own.
func TestOneDeduplicatorForTwoHandlersStarvesTheSecondAndOursDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		dedup message.HandlerMiddleware
		calls int
	}{
		"plain": {(&middleware.Deduplicator{
			KeyFactory: middleware.NewMessageHasherSHA256(math.MaxInt64), Timeout: time.Minute,
			Repository: must(middleware.NewMapExpiringKeyRepository(time.Hour))(t),
		}).Middleware, 1},
		"ours": {must(idempotency.New(memorystore.New(), idempotency.Config{}))(t), 2},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			handler := func(*message.Message) ([]*message.Message, error) { calls++; return nil, nil }
			for _, handlerName := range []string{"stock", "points"} {
				r := routertest.StartNamed(t, handlerName, handler, c.dedup)
				if got := r.Deliver(message.NewMessage("1", []byte("order 1"))); got != routertest.Acked {
					t.Fatal(got)
				}
			}
			if calls != c.calls {
				t.Errorf("%d handlers ran, want %d", calls, c.calls)
			}
		})
	}
}
