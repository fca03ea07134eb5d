package amqp

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// blackHole is an address where connections are taken and nothing is answered.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestABrokerThatIsAwayIsWaitedForAndNeverHangs(t *testing.T) {
	for what, addr := range map[string]string{"nobody listens": closedPort(t), "nobody answers": blackHole(t)} {
		t.Run(what, func(t *testing.T) {
			b, err := broker.Open(t.Context(), "amqp://"+addr+"?consumer_group=g&dial_timeout=700ms", broker.Config{})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			if err := b.Check(ctx); !failure.IsUnavailable(err) {
				t.Errorf("check: %v, want unavailable", err)
			}
			got := b.PublishBatch(ctx, []broker.Outgoing{
				{Topic: "t", Message: message.NewMessage("1", nil)},
				{Topic: "amq.fanout", Message: message.NewMessage("2", nil)},
			})
			if len(got) != 2 || !failure.IsUnavailable(got[0]) {
				t.Errorf("publish: %v, want unavailable", got)
			}
			if len(got) == 2 && what == "nobody answers" && !errors.Is(got[0], context.DeadlineExceeded) {
				t.Errorf("publish: %v, want the deadline named", got[0])
			}
			if len(got) == 2 && (!failure.IsPermanent(got[1]) || failure.IsUnavailable(got[1])) {
				t.Errorf("an impossible topic gives %v", got[1])
			}
			ch, err := b.Subscribe(t.Context(), "t")
			if err != nil {
				t.Fatalf("subscribe: %v", err)
			}
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if _, open := <-ch; open {
				t.Error("a message from nowhere")
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
