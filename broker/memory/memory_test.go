package memory_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), url, broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func subscribe(t *testing.T, b *broker.Broker, group, topic string) <-chan *message.Message {
	t.Helper()
	ch, err := b.Group(group).Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func keyed(id, key string) *message.Message {
	msg := message.NewMessage(id, []byte(id))
	if key != "" {
		msg.Metadata.Set(header.Key, key)
	}
	return msg
}

func outgoing(topic string, msgs ...*message.Message) []broker.Outgoing {
	var out []broker.Outgoing
	for _, m := range msgs {
		out = append(out, broker.Outgoing{Topic: topic, Message: m})
	}
	return out
}

func TestATopicWithoutAGroupIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://")
		defer b.Close()
		start := time.Now()
		err := b.Publish("nobody", keyed("1", ""))
		if !failure.IsUnavailable(err) || failure.IsPermanent(err) {
			t.Fatalf("got %v, want unavailable", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Fatalf("waited %s", waited)
		}
	})
}

func TestANamedGroupGetsWhatWasPublishedBeforeItSubscribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?groups=orders/stock,orders/points")
		defer b.Close()
		published := make(chan error, 1)
		go func() { published <- b.Publish("orders", keyed("1", "a")) }()
		stock := subscribe(t, b, "stock", "orders")
		(<-stock).Ack()
		synctest.Wait()
		select {
		case err := <-published:
			t.Fatalf("Publish returned (%v) before the group points had acked", err)
		default:
		}
		points := subscribe(t, b, "points", "orders")
		(<-points).Ack()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAGroupThatLeftIsStillOwedItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://")
		defer b.Close()
		g := b.Group("stock")
		if _, err := g.Subscribe(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		published := make(chan error, 1)
		go func() { published <- b.Publish("orders", keyed("1", "a")) }()
		synctest.Wait()
		(<-subscribe(t, b, "stock", "orders")).Ack()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatIsWithdrawnIsNotDeliveredAndWhatIsUnderWayIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		first, second := keyed("first", "a"), keyed("second", "a")
		other := keyed("other", "b")
		results := make(chan []error, 1)
		go func() { results <- b.PublishBatch(ctx, outgoing("orders", first, second, other)) }()
		underWay := <-ch
		(<-ch).Ack() // the other key
		got := <-results
		if !failure.IsUnavailable(got[0]) || !failure.IsUnavailable(got[1]) || got[2] != nil {
			t.Fatalf("results %v, want the first two unavailable", got)
		}
		underWay.Nack()
		go func() { results <- b.PublishBatch(t.Context(), outgoing("orders", keyed("third", "a"))) }()
		third := <-ch
		if third.UUID != "third" {
			t.Fatalf("got %q after the withdrawal, want only the third", third.UUID)
		}
		third.Ack()
		if got := <-results; got != nil {
			t.Fatal(got)
		}
	})
}

func TestALateAckOfAWithdrawnMessageBreaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		results := make(chan []error, 1)
		go func() { results <- b.PublishBatch(ctx, outgoing("orders", keyed("1", "a"))) }()
		msg := <-ch
		<-results
		msg.Ack()
		go func() { results <- b.PublishBatch(t.Context(), outgoing("orders", keyed("2", "a"))) }()
		(<-ch).Ack()
		if got := <-results; got != nil {
			t.Fatal(got)
		}
	})
}

func TestNacksWaitLongerAndLongerUpToTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?nack_delay=100ms&nack_delay_max=800ms")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		done := make(chan error, 1)
		go func() { done <- b.Publish("orders", keyed("1", "a")) }()
		msg := <-ch
		for i, want := range []time.Duration{100, 200, 400, 800, 800, 800} {
			want *= time.Millisecond
			msg.Nack()
			start := time.Now()
			msg = <-ch
			if d := time.Since(start); d < want/2 || d > want {
				t.Errorf("wait %d was %s, want from %s to %s", i+1, d, want/2, want)
			}
		}
		msg.Ack()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestNoMoreThanTheAllowedNumberIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?concurrency=3")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		var msgs []*message.Message
		for i := range 10 {
			msgs = append(msgs, keyed(fmt.Sprint(i), fmt.Sprint(i)))
		}
		done := make(chan error, 1)
		go func() { done <- b.Publish("orders", msgs...) }()
		var held []*message.Message
		for range 3 {
			held = append(held, <-ch)
		}
		synctest.Wait()
		select {
		case <-ch:
			t.Fatal("a fourth message is under way")
		default:
		}
		for _, m := range held {
			m.Ack()
		}
		for range 7 {
			(<-ch).Ack()
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAMessageThatWaitsAfterANackTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?concurrency=1&nack_delay=20s&nack_delay_max=20s")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		done := make(chan error, 1)
		go func() { done <- b.Publish("orders", keyed("bad", "a"), keyed("good", "b")) }()
		start := time.Now()
		(<-ch).Nack()
		good := <-ch
		if good.UUID != "good" || time.Since(start) != 0 {
			t.Fatalf("%q came after %s", good.UUID, time.Since(start))
		}
		good.Ack()
		if bad := <-ch; bad.UUID != "bad" || time.Since(start) < 10*time.Second {
			t.Fatalf("%q came after %s", bad.UUID, time.Since(start))
		} else {
			bad.Ack()
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestASubscriberThatDoesNotReadKeepsNothingFromAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://")
		defer b.Close()
		first, second := subscribe(t, b, "stock", "orders"), subscribe(t, b, "stock", "orders")
		go func() { _ = b.Publish("orders", keyed("1", "a"), keyed("2", "b"), keyed("3", "c"), keyed("4", "d")) }()
		synctest.Wait()
		for name, ch := range map[string]<-chan *message.Message{"first": first, "second": second} {
			select {
			case <-ch:
			default:
				t.Errorf("the %s subscriber has nothing to read", name)
			}
		}
		_ = b.Close()
	})
}

func TestAFullQueueRefusesAndLetsNoLaterMessageOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?ack=none&max_queued=2")
		defer b.Close()
		ch := subscribe(t, b, "stock", "orders")
		got := b.PublishBatch(t.Context(), outgoing("orders", keyed("1", "a"), keyed("2", "a"), keyed("3", "a"), keyed("4", "a")))
		if len(got) != 4 || got[0] != nil || got[1] != nil || !failure.IsUnavailable(got[2]) || !failure.IsUnavailable(got[3]) {
			t.Fatalf("results %v", got)
		}
		(<-ch).Ack()
		(<-ch).Ack()
	})
}
