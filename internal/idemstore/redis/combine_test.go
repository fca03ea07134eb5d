package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// fakeServer answers every command with its key, once it is let through.
type fakeServer struct {
	mu     sync.Mutex
	trips  []int // commands of each round trip
	known  bool  // the scripts
	fail   map[string]error
	gate   chan struct{} // nil lets everything through
	closed error
}

// scriptError is an error of the server's.
type scriptError string

func (e scriptError) Error() string { return string(e) }
func (scriptError) RedisError()     {}

func (f *fakeServer) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (f *fakeServer) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(_ context.Context, cmd goredis.Cmder) error { return f.trip([]goredis.Cmder{cmd}) }
}

func (f *fakeServer) ProcessPipelineHook(goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(_ context.Context, cmds []goredis.Cmder) error { return f.trip(cmds) }
}

func (f *fakeServer) trip(cmds []goredis.Cmder) (err error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate != nil {
		f.trips = append(f.trips, len(cmds))
	}
	for _, c := range cmds {
		cmd, ok := c.(*goredis.Cmd)
		if !ok {
			return fmt.Errorf("unexpected %T", c)
		}
		args := cmd.Args()
		at := map[string]int{"set": 1, "eval": 3, "evalsha": 3}[cmd.Name()]
		key, _ := args[at].(string)
		switch {
		case f.closed != nil:
			cmd.SetErr(f.closed)
		case cmd.Name() == "evalsha" && !f.known:
			cmd.SetErr(scriptError("NOSCRIPT No matching script."))
		case f.fail[key] != nil:
			cmd.SetErr(f.fail[key])
		default:
			cmd.SetVal(key)
		}
		if cmd.Name() == "eval" {
			f.known = true
		}
		if cmd.Err() != nil {
			err = cmd.Err()
		}
	}
	return err
}

func newFake(t *testing.T, f *fakeServer) *combiner {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	client.AddHook(f)
	t.Cleanup(func() { _ = client.Close() })
	return &combiner{client: client}
}

type answer struct {
	key   string
	reply any
	err   error
}

// ask has callers of the keys wait in their order.
func ask(ctx context.Context, c *combiner, keys ...string) <-chan answer {
	answers := make(chan answer, len(keys))
	for _, key := range keys {
		go func() {
			reply, err := c.run(ctx, completeScript, key, "token")
			answers <- answer{key, reply, err}
		}()
		synctest.Wait()
	}
	return answers
}

func TestCallersThatCallAtTheSameTimeShareAPipelineAndEachHasItsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		odd := errors.New("WRONGTYPE odd")
		f := &fakeServer{gate: make(chan struct{}), fail: map[string]error{"odd": odd}}
		c := newFake(t, f)
		answers := ask(t.Context(), c, "1", "2", "3", "odd", "4", "5")
		close(f.gate)
		for range 6 {
			a := <-answers
			if a.key == "odd" {
				if !errors.Is(a.err, odd) {
					t.Errorf("odd: %v, %v", a.reply, a.err)
				}
			} else if a.err != nil || a.reply != a.key {
				t.Errorf("%s was answered with %v, %v", a.key, a.reply, a.err)
			}
		}
		if !slices.Contains(f.trips, 4) { // beside those of the first two, whose script is not known yet
			t.Errorf("round trips of %v commands, want one of the four that waited", f.trips)
		}
		if c.active != 0 || len(c.waiting) != 0 {
			t.Errorf("%d pipelines and %d callers are left", c.active, len(c.waiting))
		}
	})
}

func TestAPipelineOfScriptsThatTheServerForgotIsSentAgainWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{gate: make(chan struct{}), known: true}
		c := newFake(t, f)
		answers := ask(t.Context(), c, "1", "2", "3", "4")
		f.gate <- struct{}{}
		f.gate <- struct{}{}
		synctest.Wait()
		f.mu.Lock()
		f.known = false
		f.mu.Unlock()
		close(f.gate)
		for range 4 {
			if a := <-answers; a.err != nil || a.reply != a.key {
				t.Errorf("%s was answered with %v, %v", a.key, a.reply, a.err)
			}
		}
	})
}

func TestACallerWhoseContextEndsLeavesAndTheOthersAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{gate: make(chan struct{}), known: true}
		c := newFake(t, f)
		others := ask(t.Context(), c, "1", "2")
		ctx, cancel := context.WithCancel(t.Context())
		mine := ask(ctx, c, "gives up")
		late, cancelLate := context.WithCancel(t.Context())
		patient := ask(t.Context(), c, "leads")
		under := ask(late, c, "is under way")
		cancel()
		if a := <-mine; !errors.Is(a.err, context.Canceled) {
			t.Errorf("the one that gave up was answered with %v, %v", a.reply, a.err)
		}
		f.gate <- struct{}{} // one flight ends, and the next takes two
		<-others
		synctest.Wait()
		cancelLate()
		if a := <-under; !errors.Is(a.err, context.Canceled) {
			t.Errorf("the one under way was answered with %v, %v", a.reply, a.err)
		}
		close(f.gate)
		for _, from := range []<-chan answer{others, patient} {
			if a := <-from; a.err != nil || a.reply != a.key {
				t.Errorf("%s was answered with %v, %v", a.key, a.reply, a.err)
			}
		}
		for _, n := range f.trips {
			if n > 2 {
				t.Errorf("round trips of %v: the one that gave up was sent", f.trips)
			}
		}
		if _, err := c.run(ctx, completeScript, "over"); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that is over: %v", err)
		}
	})
}

// The leader of those who wait may itself have given up at the very moment.
func TestALeaderThatGaveUpStillLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{gate: make(chan struct{}), known: true}
		c := newFake(t, f)
		for range 200 {
			busy := ask(t.Context(), c, "1", "2")
			ctx, cancel := context.WithCancel(t.Context())
			leader, follower := ask(ctx, c, "leader"), ask(t.Context(), c, "follower")
			go cancel()
			f.gate <- struct{}{}
			f.gate <- struct{}{}
			var rest sync.WaitGroup
			rest.Go(func() {
				for range 2 { // as many round trips as there may be
					select {
					case f.gate <- struct{}{}:
					case <-time.After(time.Second):
					}
				}
			})
			<-busy
			<-busy
			<-leader
			if a := <-follower; a.err != nil {
				t.Fatalf("the follower: %v", a.err)
			}
			rest.Wait()
		}
	})
}

func TestAServerThatIsGoneIsToldToEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("connection refused")
		f := &fakeServer{gate: make(chan struct{}), closed: gone}
		c := newFake(t, f)
		answers := ask(t.Context(), c, "1", "2", "3", "4", "5")
		close(f.gate)
		for range 5 {
			if a := <-answers; !errors.Is(a.err, gone) {
				t.Errorf("%s was answered with %v, %v", a.key, a.reply, a.err)
			}
		}
	})
}

// BenchmarkCombine is what a claim and its completion cost each of 64 callers
// before anything is sent.
func BenchmarkCombine(b *testing.B) {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer func() { _ = client.Close() }()
	client.AddHook(&fakeServer{known: true})
	c := &combiner{client: client}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.set(b.Context(), "k", "v", 60_000); err != nil {
				b.Error(err)
			}
			if _, err := c.run(b.Context(), completeScript, "k", "token", 60_000, "0"); err != nil {
				b.Error(err)
			}
		}
	})
}
