package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
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

// redisFirsts notes the first delivery of each message, and acks all.
type redisFirsts struct {
	mu   sync.Mutex
	next map[string]int
	seen map[string]bool
	bad  string
}

func (f *redisFirsts) take(ch <-chan *message.Message) {
	for msg := range ch {
		f.note(msg.UUID)
		msg.Ack()
	}
}

func (f *redisFirsts) note(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen, f.next = map[string]bool{}, map[string]int{}
	}
	if f.seen[id] {
		return
	}
	f.seen[id] = true
	key, number, _ := strings.Cut(id, "/")
	n := 0
	_, _ = fmt.Sscan(number, &n)
	if n != f.next[key] && f.bad == "" {
		f.bad = fmt.Sprintf("%s came first when %s/%d was due", id, key, f.next[key])
	}
	f.next[key] = n + 1
}

func (f *redisFirsts) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *redisFirsts) inversion() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad
}

func (f *redisFirsts) wait(ctx context.Context, n int) bool {
	for f.count() < n {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// TestRedisConsumerKilledIsTakenOver runs a consumer in a process of its own,
// which is killed while it handles.
func TestRedisConsumerKilledIsTakenOver(t *testing.T) {
	if url := os.Getenv("SLUICEGATE_TEST_VICTIM"); url != "" {
		b := openRedis(t, url)
		ch := subscribe(t, b.Group("g"), "t")
		for range 4 {
			_, _ = fmt.Fprintln(os.Stdout, "holds", (<-ch).UUID)
		}
		<-t.Context().Done()
		return
	}
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			s := startRedis(t)
			url := s.url("claim_idle=2s&order=" + order)
			b := openRedis(t, url)
			for _, key := range []string{"a", "b", "c", "d"} {
				for _, r := range b.PublishBatch(t.Context(), redisNumbered("t", key, 0, 10)) {
					if r != nil {
						t.Fatal(r)
					}
				}
			}
			victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRedisConsumerKilledIsTakenOver$") //nolint:gosec // this test
			victim.Env = append(os.Environ(), "SLUICEGATE_TEST_VICTIM="+url)
			out, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			held := make([]byte, 0, 100)
			for bytes.Count(held, []byte("holds")) < 4 {
				buf := make([]byte, 100)
				n, err := out.Read(buf)
				if held = append(held, buf[:n]...); err != nil {
					t.Fatalf("the consumer says %q: %v", held, err)
				}
			}
			_ = victim.Process.Kill()
			_ = victim.Wait()
			start := time.Now()
			var seen redisFirsts
			go seen.take(subscribe(t, b.Group("g"), "t"))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if !seen.wait(ctx, 40) {
				t.Fatalf("%d of 40 messages came", seen.count())
			}
			t.Logf("after %s", time.Since(start))
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("only after %s", took)
			}
			if inversion := seen.inversion(); inversion != "" {
				t.Errorf("order: %s", inversion)
			}
		})
	}
}

// A member that the network has cut off must stop before another begins, and
// what it acks later marks nothing.
func TestRedisAMemberOutOfReachGivesUpItsClaims(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			s := startRedis(t)
			w := newRedisWire(t, s.addr)
			params := "?claim_idle=1s&order=" + order
			cutOff, other := openRedis(t, "redis://"+w.addr+params), openRedis(t, s.url(params[1:]))
			redisPublishAll(t.Context(), t, other, redisNumbered("t", "k", 0, 1))
			held := next(t, subscribe(t, cutOff.Group("g"), "t"))
			w.hold()
			ch := subscribe(t, other.Group("g"), "t")
			again := next(t, ch)
			select {
			case <-held.Context().Done():
			default:
				t.Error("another member got it while the first was allowed to go on")
			}
			held.Ack()
			w.release()
			if comes(ch, 500*time.Millisecond) {
				t.Error("it came a third time while it was under way")
			}
			if n := s.client().XPending(t.Context(), "t", "g").Val().Count; n != 1 {
				t.Errorf("%d messages are pending: the late ack has marked it", n)
			}
			again.Ack()
		})
	}
}

func TestRedisASlowHandlerKeepsItsMessage(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			url, _ := redisServer(t)
			// Full, so that it does nothing but handle.
			b := openRedis(t, url+"?claim_idle=1s&concurrency=1&prefetch=0&order="+order)
			redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 2))
			first := subscribe(t, b.Group("g"), "t")
			msg := next(t, first)
			if comes(subscribe(t, b.Group("g"), "t"), 2500*time.Millisecond) {
				t.Fatal("another member got it while the handler ran")
			}
			if msg.Context().Err() != nil {
				t.Error("the claim was lost")
			}
			msg.Ack()
			next(t, first).Ack()
			if comes(first, 1200*time.Millisecond) {
				t.Error("it came again after its ack")
			}
		})
	}
}

// The server has given the entries away, and their reply never came.
func TestRedisAReplyThatWasLostLosesNoMessageAndNoOrder(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			s := startRedis(t)
			w := newRedisWire(t, s.addr)
			b, publisher := openRedis(t, "redis://"+w.addr+"?order="+order), openRedis(t, s.url(""))
			var seen redisFirsts
			go seen.take(subscribe(t, b.Group("g"), "t"))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			redisPublishAll(ctx, t, publisher, redisNumbered("t", "k", 0, 1))
			seen.wait(ctx, 1)
			start := time.Now()
			for i := range 10 {
				w.cutAfter(-1, 500*i)
				redisPublishAll(ctx, t, publisher, redisNumbered("t", "k", 1+20*i, 20))
				if !seen.wait(ctx, 1+20*(i+1)) {
					t.Fatalf("round %d: %d messages came", i, seen.count())
				}
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %s: they were only taken over", took)
			}
			if inversion := seen.inversion(); inversion != "" && order == "key" {
				t.Errorf("order: %s", inversion)
			}
		})
	}
}

func TestRedisMadeEmptyMakesItsGroupsAgain(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			s := startRedis(t)
			b := openRedis(t, s.url("claim_idle=1s&order="+order))
			ch := subscribe(t, b.Group("g"), "t")
			redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 1))
			next(t, ch).Ack()
			if err := s.client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 1, 1))
			msg := next(t, ch)
			if msg.UUID != "k/1" {
				t.Errorf("%s came", msg.UUID)
			}
			msg.Ack()
		})
	}
}

func TestRedisAwayAtStartIsWaitedForAndToldOnce(t *testing.T) {
	s := startRedis(t)
	s.kill()
	var log redisLog
	b, err := broker.Open(t.Context(), s.url(""), broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Check(t.Context()); !failure.IsUnavailable(err) {
		t.Errorf("check while it is away: %v", err)
	}
	ch := subscribe(t, b.Group("g"), "t")
	<-time.After(1500 * time.Millisecond)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings while it is away:\n%s", n, log.String())
	}
	s.start()
	redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 1))
	next(t, ch).Ack()
	if !strings.Contains(log.String(), "goes on") {
		t.Errorf("nothing says that it goes on:\n%s", log.String())
	}
}

type redisLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *redisLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *redisLog) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
