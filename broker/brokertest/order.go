package brokertest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

var orderCases = []Case{
	{Name: "the messages of a key come in the order of publishing", Needs: ordered, Run: checkOrder},
	{Name: "one message of a key is under way at a time", Needs: ordered, Run: checkOneOfAKey},
	{Name: "no message of its key overtakes a nacked one", Needs: ordered, Run: checkNoOvertaking},
	{Name: "a failing key does not stop the others", Needs: keyConcurrency, Run: checkOtherKeys},
}

func ordered(h Harness) bool        { return h.Declared.Order == broker.OrderByKey }
func keyConcurrency(h Harness) bool { return h.Declared.KeyConcurrency }

func checkOrder(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	const n, keys = 300, 7
	msgs := numbered(n, keys)
	done := make(chan error, 1)
	go func() {
		for i := 0; i < n; i += 100 {
			if err := r.b.Publish(r.topic, msgs[i:i+100]...); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	last := map[string]int{}
	for _, msg := range c.acked(n) {
		number, err := strconv.Atoi(msg.UUID)
		key := msg.Metadata.Get(header.Key)
		if before, seen := last[key]; err != nil || seen && number != before+keys {
			t.Fatalf("message %q of %s came after %d", msg.UUID, key, before)
		}
		last[key] = number
	}
	r.published(done)
}

// checkOneOfAKey hands every message to a goroutine, as Watermill's router
// does.
func checkOneOfAKey(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	msgs := numbered(60, 3)
	done := r.publish(msgs...)
	var mu sync.Mutex
	underWay := map[string]int{}
	var handlers sync.WaitGroup
	for range msgs {
		msg := c.next()
		key := msg.Metadata.Get(header.Key)
		mu.Lock()
		if underWay[key]++; underWay[key] > 1 {
			t.Errorf("two messages of %s are under way", key)
		}
		mu.Unlock()
		handlers.Go(func() {
			select { // some work
			case <-time.After(time.Millisecond):
			case <-msg.Context().Done():
			}
			mu.Lock()
			underWay[key]--
			mu.Unlock()
			msg.Ack()
		})
	}
	handlers.Wait()
	r.published(done)
}

func checkNoOvertaking(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	done := r.publish(newMessage("first", "a"), newMessage("second", "a"), newMessage("third", "a"))
	for _, step := range []struct {
		want string
		ack  bool
	}{{"first", false}, {"first", false}, {"first", true}, {"second", false}, {"second", true}, {"third", true}} {
		msg := c.next()
		if msg.UUID != step.want {
			t.Fatalf("got %q, want %q", msg.UUID, step.want)
		}
		select { // time for another one to overtake
		case other := <-c.ch:
			t.Fatalf("%q came while %q was under way", other.UUID, step.want)
		case <-time.After(r.h.Quiet / 10):
		}
		if step.ack {
			msg.Ack()
		} else {
			msg.Nack()
		}
	}
	r.published(done)
}

func checkOtherKeys(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	good := numbered(50, 0)
	batch := r.batch(append([]*message.Message{newMessage("bad", "bad"), newMessage("behind it", "bad")}, good...)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan []error, 1)
	go func() { results <- r.b.PublishBatch(ctx, batch) }()
	seen := map[string]bool{}
	for deadline := time.After(r.h.Patience); len(seen) < len(good); {
		select {
		case msg := <-c.ch:
			switch msg.UUID {
			case "behind it":
				t.Fatalf("the message behind the failing one came")
			case "bad":
				msg.Nack()
			default:
				seen[msg.UUID] = true
				msg.Ack()
			}
		case <-deadline:
			t.Fatalf("only %d of %d messages of other keys came", len(seen), len(good))
		}
	}
	for acked := false; !acked; {
		msg := c.next()
		msg.Ack()
		acked = msg.UUID == "behind it"
	}
	for i, err := range within(r, results, "the results") {
		if err != nil {
			t.Errorf("result %d: %v", i, err)
		}
	}
}
