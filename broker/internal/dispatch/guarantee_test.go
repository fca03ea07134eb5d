package dispatch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
)

// TestNacksAndAcksAtRandomKeepTheOrderOfEachKey answers from goroutines of
// their own, as a router does, and nacks a third.
func TestNacksAndAcksAtRandomKeepTheOrderOfEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := config(8)
		limits.Backoff = redelivery.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond}
		c := newClaim(t, limits)
		const keys, each = 30, 20
		go func() {
			for n := range each {
				for k := range keys {
					c.Add(item{fmt.Sprint(k), n})
				}
			}
		}()
		var mu sync.Mutex
		next, underWay := map[string]int{}, map[string]bool{}
		busy, left := 0, keys*each
		for left > 0 {
			msg := <-c.out
			key, number, _ := strings.Cut(msg.UUID, "/")
			n, _ := strconv.Atoi(number)
			mu.Lock()
			if next[key] != n || underWay[key] {
				t.Errorf("%s came, want %d; another one of its key under way: %t", msg.UUID, next[key], underWay[key])
			}
			if busy++; busy > limits.Concurrency {
				t.Errorf("%d under way", busy)
			}
			underWay[key] = true
			ack := rand.IntN(3) > 0
			if ack {
				left--
			}
			mu.Unlock()
			go func() {
				<-time.After(rand.N(3 * time.Millisecond)) // virtual: some work
				mu.Lock()
				underWay[key] = false
				busy--
				if ack {
					next[key]++
				}
				mu.Unlock()
				if ack {
					msg.Ack()
				} else {
					msg.Nack()
				}
			}()
		}
		synctest.Wait()
		<-time.After(time.Second) // virtual: the last answers
		c.stop()
		c.Close()
		if len(c.acked) != keys*each || len(c.returned) > 0 {
			t.Errorf("%d acked, %d returned", len(c.acked), len(c.returned))
		}
	})
}

// TestEveryItemIsAckedOrReturnedOnceWheneverItEnds ends claims at a random
// moment while readers answer.
func TestEveryItemIsAckedOrReturnedOnceWheneverItEnds(t *testing.T) {
	for range 200 {
		limits := config(1 + rand.IntN(8))
		limits.Backoff = redelivery.Backoff{First: 10 * time.Microsecond, Max: 100 * time.Microsecond}
		c := newClaim(t, limits)
		var added, answered atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := 0; c.Add(item{[]string{"", "a", "b", "c"}[n%4], n}); n++ {
				added.Add(1)
			}
		})
		end := rand.Int64N(300)
		done := make(chan struct{})
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case msg := <-c.out:
						switch answer := answered.Add(1); {
						case answer == end:
							c.stop()
						case answer%3 == 0:
							msg.Nack()
						default:
							msg.Ack()
						}
					case <-done:
						return
					}
				}
			})
		}
		if end == 0 {
			c.stop()
		}
		<-c.ctx.Done()
		close(done)
		wg.Wait()
		c.Close()
		all := slices.Concat(c.acked, c.returned)
		slices.Sort(all)
		if len(all) != int(added.Load()) || len(slices.Compact(all)) != int(added.Load()) {
			t.Fatalf("%d added; %d acked and %d returned", added.Load(), len(c.acked), len(c.returned))
		}
		if !returnedInOrder(c.returned) {
			t.Fatalf("not in the order of their keys: %v", c.returned)
		}
	}
}

func returnedInOrder(returned []string) bool {
	last := map[string]int{}
	for _, r := range returned {
		key, number, _ := strings.Cut(r, "/")
		n, _ := strconv.Atoi(number)
		if before, seen := last[key]; key != "" && seen && before > n {
			return false
		}
		last[key] = n
	}
	return true
}

func TestASlowMessageHidesNoAnswerForLongerThanAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(10))
		for _, key := range []string{"slow", "a", "b"} {
			c.Add(item{key, 0})
			c.Add(item{key, 1})
			synctest.Wait() // somebody delivers the slow one, and takes what comes meanwhile
		}
		under := map[string]*message.Message{}
		for range 3 {
			msg := <-c.out
			under[msg.UUID] = msg
		}
		synctest.Wait() // for the slow one, the oldest
		for _, key := range []string{"b", "a"} {
			start := time.Now()
			under[key+"/0"].Ack()
			msg := <-c.out
			if waited := time.Since(start); msg.UUID != key+"/1" || waited > 2*time.Millisecond {
				t.Errorf("%s came after %s, want %s/1 within a moment", msg.UUID, waited, key)
			}
			msg.Ack()
		}
		synctest.Wait()
		c.stop()
		c.Close()
		if len(c.acked) != 4 || !slices.Equal(c.returned, []string{"slow/0", "slow/1"}) {
			t.Errorf("acked %v, returned %v", c.acked, c.returned)
		}
	})
}

func TestAMessageBelongsToItsClaimAndItsContextEndsWithThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(2))
		c.Add(item{"a", 0})
		c.Add(item{"b", 0})
		first, second := <-c.out, <-c.out
		first.Ack()
		synctest.Wait()
		if first.Context().Err() != nil || second.Context().Err() != nil {
			t.Error("a context ended before the claim")
		}
		c.stop()
		if second.Context().Err() == nil {
			t.Error("a context outlives the claim")
		}
		c.Close()
		second.Ack() // late
		synctest.Wait()
		if !slices.Equal(c.returned, []string{second.UUID}) || len(c.acked) != 1 {
			t.Errorf("acked %v, returned %v", c.acked, c.returned)
		}
	})
}

func TestAnAckBeforeTheEndCountsHoweverManyAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(50))
		for k := range 50 {
			c.Add(item{fmt.Sprint(k), 0})
		}
		for n := range 50 {
			if msg := <-c.out; n%10 == 9 {
				msg.Ack() // behind more unanswered ones than a worker looks past
			}
		}
		c.stop()
		c.Close()
		if len(c.acked) != 5 || len(c.returned) != 45 {
			t.Errorf("%d acked, %d returned, want 5 and 45", len(c.acked), len(c.returned))
		}
	})
}

func TestAddThatWaitsEndsWithTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := config(1)
		full.Queue = 0
		c := newClaim(t, full)
		c.Add(item{"a", 0})
		refused := make(chan bool, 2)
		for range 2 {
			go func() { refused <- !c.Add(item{"b", 0}) }()
		}
		synctest.Wait()
		c.stop()
		for range 2 {
			if !<-refused {
				t.Error("an item was taken after the end")
			}
		}
		c.Close()
		if !slices.Equal(c.returned, []string{"a/0"}) {
			t.Errorf("returned %v", c.returned)
		}
	})
}

func TestMessagesWithoutAKeyHaveLanesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(3))
		for n := range 3 {
			c.Add(item{"", n})
		}
		for range 3 {
			<-c.out // none is answered
		}
		c.stop()
		c.Close()
	})
}

func TestManyOtherKeysDoNotSetAKeyFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaim(t, config(4))
		c.Add(item{"held", 0})
		held := <-c.out
		for k := range 5000 { // more than are kept
			c.Add(item{fmt.Sprint(k), 0})
			(<-c.out).Ack()
		}
		c.Add(item{"held", 1})
		synctest.Wait()
		select {
		case msg := <-c.out:
			t.Errorf("%s came beside the first of its key", msg.UUID)
		default:
		}
		held.Ack()
		if msg := <-c.out; msg.UUID != "held/1" {
			t.Errorf("%s came", msg.UUID)
		}
		c.stop()
		c.Close()
	})
}
