package nats_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

const patience = 20 * time.Second

func subscribe(t testing.TB, s message.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	ch, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t testing.TB, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-ch:
		if !open {
			t.Fatal("the subscription ended")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return nil
}

// nothing checks that no message comes within d.
func nothing(t testing.TB, ch <-chan *message.Message, d time.Duration, why string) {
	t.Helper()
	select {
	case msg, open := <-ch:
		if open {
			t.Fatalf("message %s came: %s", msg.UUID, why)
		}
	case <-time.After(d):
	}
}

func keyed(id, key string) *message.Message {
	msg := message.NewMessage(id, []byte(strings.Repeat("x", 200)))
	if key != "" {
		msg.Metadata.Set(header.Key, key)
	}
	return msg
}

// publishAll publishes n messages of so many keys, and again what was not
// acknowledged, as a relay does. Of a key none may be acknowledged behind one
// that was not.
func publishAll(t testing.TB, b *broker.Broker, topic string, n, keys, size int) {
	for from := 0; from < n; from += size {
		var left []broker.Outgoing
		for i := from; i < min(from+size, n); i++ {
			left = append(left, broker.Outgoing{Topic: topic, Message: keyed(strconv.Itoa(i), strconv.Itoa(i%keys))})
		}
		for tries := 0; len(left) > 0; tries++ {
			if tries > 200 || t.Context().Err() != nil {
				t.Errorf("%d messages are never acknowledged", len(left))
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			results := b.PublishBatch(ctx, left)
			cancel()
			var again []broker.Outgoing
			broken := map[string]bool{}
			for i, err := range results {
				key := left[i].Message.Metadata.Get(header.Key)
				switch {
				case err != nil && failure.IsPermanent(err):
					t.Errorf("message %s: %v", left[i].Message.UUID, err)
				case err != nil:
					broken[key] = true
					again = append(again, left[i])
				case broken[key]:
					t.Errorf("message %s is acknowledged behind one of its key that is not", left[i].Message.UUID)
				}
			}
			left = again
			if len(left) > 0 {
				<-time.After(20 * time.Millisecond)
			}
		}
	}
}

// watch takes n different messages and checks that the first deliveries of
// each key come in order.
func watch(t testing.TB, n, keys int, channels ...<-chan *message.Message) {
	t.Helper()
	in := make(chan *message.Message)
	for _, ch := range channels {
		go func() {
			for msg := range ch {
				select {
				case in <- msg:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	highest := map[int]int{}
	for seen := 0; seen < n; {
		select {
		case msg := <-in:
			number, err := strconv.Atoi(msg.UUID)
			if err != nil {
				t.Fatal(err)
			}
			want := number % keys
			if h, begun := highest[number%keys]; begun {
				want = h + keys
			}
			if number > want {
				t.Fatalf("%d came before %d", number, want)
			}
			if number == want {
				highest[number%keys] = number
				seen++
			}
			msg.Ack()
		case <-time.After(patience):
			t.Fatalf("only %d of %d messages came", seen, n)
		}
	}
}

// proxy is on the way to addr until it is cut.
func proxy(t *testing.T, addr string) (via string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	conns := []io.Closer{l}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			pipes.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			pipes.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		}
	})
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	}
	t.Cleanup(func() { cut(); pipes.Wait() })
	return l.Addr().String(), cut
}
