package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

func redisNumbered(topic, key string, from, n int) []broker.Outgoing {
	batch := make([]broker.Outgoing, n)
	for i := range batch {
		msg := message.NewMessage(fmt.Sprintf("%s/%d", key, from+i), []byte(strings.Repeat("x", 200)))
		msg.Metadata.Set(header.Key, key)
		batch[i] = broker.Outgoing{Topic: topic, Message: msg}
	}
	return batch
}

// redisPublishAll publishes as a relay does: what was not confirmed again, until
// all is. It fails where a message was confirmed after one that was not.
func redisPublishAll(ctx context.Context, t *testing.T, b *broker.Broker, left []broker.Outgoing) (calls int) {
	t.Helper()
	for len(left) > 0 && ctx.Err() == nil {
		calls++
		callCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		results := b.PublishBatch(callCtx, left)
		cancel()
		var again []broker.Outgoing
		for i, err := range results {
			switch {
			case err != nil && !failure.IsUnavailable(err):
				t.Errorf("message %s: %v", left[i].Message.UUID, err)
				return calls
			case err != nil:
				again = append(again, left[i])
			case len(again) > 0:
				t.Errorf("message %s is confirmed and %s before it is not", left[i].Message.UUID, again[0].Message.UUID)
				return calls
			}
		}
		if left = again; len(left) > 0 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return calls
}

// redisInOrder checks that the first entries of each key in a stream are in
// order without a gap, whatever was stored twice.
func redisInOrder(t *testing.T, c *goredis.Client, topic string, want int) {
	t.Helper()
	entries, err := c.XRange(t.Context(), topic, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, e := range entries {
		id, _ := e.Values["_watermill_message_uuid"].(string)
		key, number, _ := strings.Cut(id, "/")
		n := 0
		_, _ = fmt.Sscan(number, &n)
		if n > next[key] {
			t.Fatalf("%s is stored before %s/%d", id, key, next[key])
		}
		next[key] = max(next[key], n+1)
	}
	for key, n := range next {
		if n != want {
			t.Errorf("%d of %d messages of %s are stored", n, want, key)
		}
	}
}

func TestRedisNothingOvertakesWhereverThePipelineIsCut(t *testing.T) {
	s := startRedis(t)
	w := newRedisWire(t, s.addr)
	b := openRedis(t, "redis://"+w.addr)
	c := s.client()
	const n = 300
	batch := redisNumbered("t", "k", 0, n)
	for _, cut := range []struct{ send, read int }{
		{1000, -1}, {40_000, -1}, {90_000, -1}, {-1, 0}, {-1, 3}, {-1, 1000}, {-1, 3000}, {-1, 5000},
	} {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		redisPublished(t, b, "other", message.NewMessage("1", nil)) // connects
		w.cutAfter(cut.send, cut.read)
		results := b.PublishBatch(t.Context(), batch)
		if len(results) != n {
			t.Fatalf("cut %+v: it was never reached", cut)
		}
		for i, err := range results {
			if !failure.IsUnavailable(err) {
				t.Fatalf("cut %+v: result %d is %v", cut, i, err)
			}
		}
		if stored := c.XLen(t.Context(), "t").Val(); stored != 0 && stored != n {
			t.Errorf("cut %+v: %d of %d messages are stored", cut, stored, n)
		}
		redisPublishAll(t.Context(), t, b, batch)
		redisInOrder(t, c, "t", n)
	}
}

// A large batch is sent in rounds, the second of which fails here.
func TestRedisNoLaterRoundOvertakesOneThatFailed(t *testing.T) {
	s := startRedis(t)
	w := newRedisWire(t, s.addr)
	b := openRedis(t, "redis://"+w.addr)
	redisPublished(t, b, "other", message.NewMessage("1", nil)) // connects
	const n = 7000
	for _, cut := range []struct{ send, read int }{{1_000_000, -1}, {-1, 100_000}} {
		c := s.client()
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		w.cutAfter(cut.send, cut.read)
		if calls := redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, n)); calls < 2 {
			t.Errorf("cut %+v: it was never reached", cut)
		}
		redisInOrder(t, c, "t", n)
	}
}

func TestRedisOutOfMemoryIsNoFailedAttemptAndLetsNothingOvertake(t *testing.T) {
	s := startRedis(t, "--maxmemory-policy", "noeviction")
	b := openRedis(t, s.url(""))
	c := s.client()
	redisPublished(t, b, "t", message.NewMessage("k/0", nil))
	used := 0
	info := c.InfoMap(t.Context(), "memory").Val()
	_, _ = fmt.Sscan(info["Memory"]["used_memory"], &used)
	if err := c.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(used+300_000)).Err(); err != nil {
		t.Fatal(err)
	}
	all := redisNumbered("t", "k", 1, 20_000)
	failed := 0
	for i := 0; i < len(all); i += 1000 {
		for j, err := range b.PublishBatch(t.Context(), all[i:i+1000]) {
			if err == nil && failed > 0 {
				t.Fatalf("message %d is confirmed after one that was not", i+j)
			}
			if err == nil {
				continue
			}
			if failed++; !failure.IsUnavailable(err) || !strings.Contains(err.Error(), "OOM") {
				t.Fatalf("message %d: %v", i+j, err)
			}
		}
		if failed > 0 { // a relay would not go on
			if err := c.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			redisPublishAll(t.Context(), t, b, all[i:])
			redisInOrder(t, c, "t", 20_001)
			return
		}
	}
	t.Error("the memory was never full")
}

func TestRedisATopicThatIsNoStreamHoldsUpNoOther(t *testing.T) {
	url, c := redisServer(t)
	b := openRedis(t, url)
	if err := c.Set(t.Context(), "text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	batch := append(redisNumbered("text", "k", 0, 2), redisNumbered("stream", "k", 0, 2)...)
	results := b.PublishBatch(t.Context(), batch)
	for i, err := range results {
		if i < 2 && (err == nil || failure.IsPermanent(err) || failure.IsUnavailable(err) || !strings.Contains(err.Error(), "WRONGTYPE")) ||
			i >= 2 && err != nil {
			t.Errorf("result %d: %v", i, err)
		}
	}
	if len(results) != 4 || c.XLen(t.Context(), "stream").Val() != 2 {
		t.Errorf("%d results", len(results))
	}
}

func TestRedisAPublishEndsWithItsContextThoughTheServerHangs(t *testing.T) {
	s := startRedis(t)
	w := newRedisWire(t, s.addr)
	b := openRedis(t, "redis://"+w.addr)
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	w.hold()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	results := b.PublishBatch(ctx, redisNumbered("t", "k", 0, 10))
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s", took)
	}
	if len(results) != 10 || !failure.IsUnavailable(results[0]) || !errors.Is(results[0], context.DeadlineExceeded) {
		t.Errorf("results %v", results)
	}
	w.release()
	redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 10))
}

// TestRedisKilledUnderLoadLosesNothing kills the server again and again while
// two lanes publish and two members consume.
func TestRedisKilledUnderLoadLosesNothing(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			s := startRedis(t)
			b := openRedis(t, s.url("claim_idle=2s&order="+order))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const rounds, each = 60, 50
			var seen redisFirsts
			for range 2 {
				ch, err := b.Group("g").Subscribe(ctx, "t")
				if err != nil {
					t.Fatal(err)
				}
				go seen.take(ch)
			}
			var lanes sync.WaitGroup
			for lane := range 2 {
				lanes.Go(func() {
					for r := range rounds {
						redisPublishAll(ctx, t, b, redisNumbered("t", fmt.Sprint("lane", lane), r*each, each))
						select {
						case <-time.After(15 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				})
			}
			for range 3 {
				<-time.After(250 * time.Millisecond)
				s.kill()
				<-time.After(100 * time.Millisecond)
				s.start()
			}
			lanes.Wait()
			if !seen.wait(ctx, 2*rounds*each) {
				t.Errorf("%d of %d messages came", seen.count(), 2*rounds*each)
			}
			if inversion := seen.inversion(); inversion != "" && order == "key" {
				t.Errorf("order: %s", inversion)
			}
			redisInOrder(t, s.client(), "t", rounds*each)
		})
	}
}
