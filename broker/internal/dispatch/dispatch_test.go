package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	key string
	n   int
}

func (i item) String() string { return fmt.Sprintf("%s/%d", i.key, i.n) }

// claim is a dispatcher and what its handlers were told.
type claim struct {
	*dispatch.Dispatcher[item]
	out  chan *message.Message
	ctx  context.Context
	stop context.CancelFunc

	mu              sync.Mutex
	acked, returned []string
}

func newClaim(t *testing.T, config dispatch.Config) *claim {
	ctx, cancel := context.WithCancel(t.Context())
	c := &claim{out: make(chan *message.Message), ctx: ctx, stop: cancel}
	note := func(to *[]string) func(item) {
		return func(i item) {
			c.mu.Lock()
			defer c.mu.Unlock()
			*to = append(*to, i.String())
		}
	}
	c.Dispatcher = dispatch.New(ctx, c.out, dispatch.Handlers[item]{
		Key:     func(i item) string { return i.key },
		Message: func(i item) *message.Message { return message.NewMessage(i.String(), nil) },
		Acked:   note(&c.acked), Returned: note(&c.returned),
	}, config)
	return c
}

func config(concurrency int) dispatch.Config {
	return dispatch.Config{Concurrency: concurrency, Queue: 100, Backoff: redelivery.Backoff{First: time.Second, Max: time.Second}}
}

func TestOneOfAKeyAtATimeInOrderAndOtherKeysBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(10))
		for n := range 3 {
			c.Add(item{"a", n})
			c.Add(item{"b", n})
		}
		first, second := <-c.out, <-c.out
		if got := []string{first.UUID, second.UUID}; !slices.Contains(got, "a/0") || !slices.Contains(got, "b/0") {
			t.Fatalf("under way together: %v", got)
		}
		synctest.Wait()
		select {
		case msg := <-c.out:
			t.Fatalf("%s was delivered beside its key's first", msg.UUID)
		default:
		}
		first.Ack()
		if got, want := (<-c.out).UUID, first.UUID[:2]+"1"; got != want {
			t.Errorf("got %s after the first, want %s", got, want)
		}
		c.stop()
		c.Close()
	})
}

func TestANackHoldsItsKeyForAWhileAndNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(1))
		c.Add(item{"a", 0})
		c.Add(item{"a", 1})
		c.Add(item{"b", 0})
		start := time.Now()
		(<-c.out).Nack()
		b := <-c.out
		if b.UUID != "b/0" || time.Since(start) != 0 {
			t.Fatalf("%s after %v, want b/0 at once", b.UUID, time.Since(start))
		}
		b.Ack()
		if again := <-c.out; again.UUID != "a/0" || time.Since(start) < time.Second/2 {
			t.Fatalf("%s after %v, want a/0 after its wait", again.UUID, time.Since(start))
		}
		c.stop()
		c.Close()
		slices.Sort(c.returned)
		if !slices.Equal(c.returned, []string{"a/0", "a/1"}) || !slices.Equal(c.acked, []string{"b/0"}) {
			t.Errorf("returned %v, acked %v", c.returned, c.acked)
		}
	})
}

func TestWhatIsNotAckedIsReturnedOnceWhereverItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(2))
		c.Add(item{"nacked", 0})
		(<-c.out).Nack()
		c.Add(item{"", 0})
		c.Add(item{"", 1})
		c.Add(item{"", 2}) // waits for a worker
		<-c.out
		last := <-c.out
		synctest.Wait()
		last.Ack()
		c.stop()
		c.Close()
		if n := len(c.returned) + len(c.acked); n != 4 || len(c.acked) != 1 {
			t.Errorf("acked %v, returned %v", c.acked, c.returned)
		}
	})
}

func TestAddWaitsWhileTheDispatcherIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := config(1)
		full.Queue = 1
		c := newClaim(t, full)
		c.Add(item{"a", 0})
		c.Add(item{"a", 1})
		added := make(chan bool, 1)
		go func() { added <- c.Add(item{"b", 0}) }()
		synctest.Wait()
		if len(added) > 0 {
			t.Fatal("a third item was taken")
		}
		(<-c.out).Ack()
		if !<-added {
			t.Error("the item was refused after a place was free")
		}
		c.stop()
		c.Close()
		if c.Add(item{"c", 0}) {
			t.Error("an item was taken after the end")
		}
	})
}

func TestManyKeysManyWorkersEachOnceInOrder(t *testing.T) {
	c := newClaim(t, config(16))
	const keys, each = 50, 40
	go func() {
		for n := range each {
			for k := range keys {
				c.Add(item{fmt.Sprint(k), n})
			}
		}
	}()
	next := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range keys * each {
		msg := <-c.out
		wg.Go(func() {
			k, number, _ := strings.Cut(msg.UUID, "/")
			n, _ := strconv.Atoi(number)
			mu.Lock()
			if next[k] != n {
				t.Errorf("key %s: got %d, want %d", k, n, next[k])
			}
			next[k] = n + 1
			mu.Unlock()
			msg.Ack()
		})
	}
	wg.Wait()
	c.stop()
	c.Close()
	if len(c.acked) != keys*each || len(c.returned) > 0 {
		t.Errorf("%d acked, %d returned", len(c.acked), len(c.returned))
	}
}
