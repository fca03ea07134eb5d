package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/logtest"
)

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
			victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRedisConsumerKilledIsTakenOver$")
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
	var log logtest.Buffer
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
