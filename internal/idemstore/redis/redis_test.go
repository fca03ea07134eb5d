package redis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/redis"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
)

func store(t *testing.T, client goredis.UniversalClient, prefix string) *redis.Store {
	t.Helper()
	s, err := redis.New(client, redis.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newClient(t *testing.T, opts *goredis.Options) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheRedisStoreConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{New: func(t *testing.T) storetest.Fixture {
		t.Helper()
		server := miniredis.RunT(t)
		now := time.Unix(1_800_000_000, 0)
		server.SetTime(now)
		client := newClient(t, &goredis.Options{Addr: server.Addr(), MaxRetryBackoff: time.Millisecond})
		return storetest.Fixture{
			Store: store(t, client, "one"), Other: store(t, client, "other"),
			Advance: func(d time.Duration) {
				now = now.Add(d)
				server.SetTime(now)
				server.FastForward(d)
			},
			Away: func() func() {
				server.SetError("LOADING Redis is loading the dataset in memory")
				return func() { server.SetError("") }
			},
		}
	}})
}

// lossyConn loses one reply when it is told to, after the server has sent it.
type lossyConn struct {
	net.Conn
	lose *atomic.Bool
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.CompareAndSwap(true, false) {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestAClaimWhoseReplyWasLostFindsItselfWhenTheClientRetries(t *testing.T) {
	server := miniredis.RunT(t)
	var lose atomic.Bool
	client := newClient(t, &goredis.Options{
		Addr: server.Addr(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &lossyConn{Conn: conn, lose: &lose}, err
		},
	})
	s, ctx := store(t, client, "p"), context.Background()
	claim := idemstore.Claim{Key: idemstore.Key{Handler: "h", ID: "warm"}, Token: "t", Lease: time.Minute, Retention: time.Minute}
	if _, err := s.Claim(ctx, claim); err != nil { // loads the script
		t.Fatal(err)
	}

	// The trap: SETNX, sent again by the client, meets its own key.
	lose.Store(true)
	if set, err := client.SetNX(ctx, "plain", "t", time.Minute).Result(); err != nil || set || lose.Load() {
		t.Fatalf("SETNX whose reply was lost: %v, %v; want false: the test does not lose replies", set, err)
	}

	lose.Store(true)
	claim.Key.ID = "ours"
	rec, err := s.Claim(ctx, claim)
	if err != nil {
		t.Fatal(err)
	}
	if lose.Load() {
		t.Fatal("no reply was lost, so the test shows nothing")
	}
	if rec.Verdict != idemstore.Mine || rec.Attempt != 1 {
		t.Fatalf("verdict %v, attempt %d; want mine, 1", rec.Verdict, rec.Attempt)
	}
	if err := s.Complete(ctx, claim.Key, "t", nil, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestAScriptThatTheServerForgotIsSentAgain(t *testing.T) {
	server := miniredis.RunT(t)
	client := newClient(t, &goredis.Options{Addr: server.Addr()})
	s, ctx := store(t, client, "p"), context.Background()
	for _, id := range []string{"one", "two"} {
		claim := idemstore.Claim{Key: idemstore.Key{Handler: "h", ID: id}, Token: "t", Lease: time.Minute}
		if rec, err := s.Claim(ctx, claim); err != nil || rec.Verdict != idemstore.Won {
			t.Fatalf("%v, %v", rec, err)
		}
		if err := client.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryOperationTouchesOneKeySoThatAClusterWillDo(t *testing.T) {
	server := miniredis.RunT(t)
	client := newClient(t, &goredis.Options{Addr: server.Addr()})
	seen := &keyHook{}
	client.AddHook(seen)
	s, ctx := store(t, client, "shop:prod"), context.Background()
	k := idemstore.Key{Handler: "shop/stock", ID: "order:1"}
	_, _ = s.Claim(ctx, idemstore.Claim{Key: k, Token: "t", Lease: time.Minute})
	_ = s.Extend(ctx, k, "t", time.Minute)
	_ = s.Release(ctx, k, "t")
	_ = s.Transition(ctx, k, idemstore.Transition{From: []idemstore.State{idemstore.Released}, To: idemstore.Dead})
	_ = s.Complete(ctx, k, "t", nil, time.Minute)
	if want := "shop:prod:10:shop/stock:order:1"; len(seen.keys) != 1 || seen.keys[0] != want {
		t.Fatalf("keys %q, want %q alone", seen.keys, want)
	}
	if got := server.Keys(); len(got) != 1 {
		t.Fatalf("the server holds %q, want one key", got)
	}
}

// keyHook notes the keys that scripts are called with.
type keyHook struct{ keys []string }

func (h *keyHook) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (h *keyHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (h *keyHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		at := map[string]int{"set": 1, "eval": 3, "evalsha": 3}[cmd.Name()]
		if args := cmd.Args(); at > 0 && len(args) > at {
			if key, ok := args[at].(string); ok && !slices.Contains(h.keys, key) {
				h.keys = append(h.keys, key)
			}
		}
		return next(ctx, cmd)
	}
}

// infoHook answers INFO.
type infoHook struct {
	keyHook
	answer string
}

func (h *infoHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if s, ok := cmd.(*goredis.StringCmd); ok && cmd.Name() == "info" {
			s.SetVal(h.answer)
			return nil
		}
		return next(ctx, cmd)
	}
}

func TestCheckWarnsOfAServerThatMayEvictRecords(t *testing.T) {
	server := miniredis.RunT(t)
	client := newClient(t, &goredis.Options{Addr: server.Addr(), MaxRetries: -1})
	info := &infoHook{}
	client.AddHook(info)
	s, ctx := store(t, client, ""), context.Background()
	for answer, want := range map[string]error{
		"# Memory\r\nmaxmemory_policy:noeviction\r\n":  nil,
		"# Memory\r\nmaxmemory_policy:allkeys-lru\r\n": redis.ErrEviction,
		"# Memory\r\nused_memory:1\r\n":                nil,
	} {
		info.answer = answer
		if err := s.Check(ctx); !errors.Is(err, want) || (want == nil && err != nil) {
			t.Errorf("Check with %q: %v, want %v", answer, err, want)
		}
	}
}

func TestAServerThatCannotBeReachedIsUnavailable(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	s, k := store(t, client, ""), idemstore.Key{Handler: "h", ID: "x"}
	_, claim := s.Claim(t.Context(), idemstore.Claim{Key: k, Token: "t", Lease: time.Minute})
	for verb, err := range map[string]error{
		"claim": claim, "extend": s.Extend(t.Context(), k, "t", time.Minute), "check": s.Check(t.Context()),
		"complete": s.Complete(t.Context(), k, "t", nil, time.Minute), "release": s.Release(t.Context(), k, "t"),
	} {
		if !failure.IsUnavailable(err) {
			t.Errorf("%s: error %v, want one marked as unavailable", verb, err)
		}
	}
}

func TestAServerThatDoesNotServeNowIsUnavailable(t *testing.T) {
	server := miniredis.RunT(t)
	client := newClient(t, &goredis.Options{Addr: server.Addr(), MaxRetries: -1})
	s, ctx := store(t, client, ""), context.Background()
	claim := idemstore.Claim{Key: idemstore.Key{Handler: "h", ID: "x"}, Token: "t", Lease: time.Minute}
	for reply, away := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":                true,
		"READONLY You can't write against a read only replica.":         true,
		"OOM command not allowed when used memory > 'maxmemory'.":       true,
		"WRONGTYPE Operation against a key holding the wrong kind":      false,
		"NOPERM this user has no permissions to run the 'eval' command": false,
	} {
		server.SetError(reply)
		if _, err := s.Claim(ctx, claim); err == nil || failure.IsUnavailable(err) != away {
			t.Errorf("%q: error %v, marked as unavailable: %v, want %v", reply, err, failure.IsUnavailable(err), away)
		}
	}
}

func TestAPrefixThatCouldMixWithAnotherIsRefused(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: "127.0.0.1:1"})
	for _, prefix := range []string{"a b", "a:1", "1", "a::b", "a:", strings.Repeat("a", 129), "a\n", "é"} {
		if _, err := redis.New(client, redis.Config{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), "Config.Prefix") {
			t.Errorf("prefix %q: error %v, want one that names Config.Prefix", prefix, err)
		}
	}
	for _, prefix := range []string{"", "shop", "shop:prod", "{shop}:v1", "a-b_c.d"} {
		if _, err := redis.New(client, redis.Config{Prefix: prefix}); err != nil {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	if _, err := redis.New(nil, redis.Config{}); err == nil {
		t.Error("a nil client was taken")
	}
}
