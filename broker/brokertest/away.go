package brokertest

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

// Remote is a driver whose broker is reached over TCP.
type Remote struct {
	// URL is one for a broker at the address, with a consumer group.
	URL func(addr string) string
	// Impossible is a topic that the driver refuses without asking the broker.
	// Default: there is none.
	Impossible string
	// Patience is how long a subtest may take at most. Default 3 s.
	Patience time.Duration
}

// what a Remote may meet in place of its broker.
var absences = []struct {
	name   string
	listen func(t T) (addr string)
	silent bool
}{
	{name: "nobody listens", listen: closedPort},
	{name: "nobody answers", listen: blackHole, silent: true},
}

// RunAway has a driver meet an address where nobody listens, and one where
// connections are taken and nothing is answered: Open and Subscribe wait for the
// broker, Check and Publish return within their context and say that it is
// unavailable, a message that is impossible anyway is told apart, and Close ends
// all of it. No broker is needed.
func RunAway(t *testing.T, r Remote) {
	for _, a := range absences {
		t.Run(a.name, func(t *testing.T) { r.meets(t, a.listen(t), a.silent) })
	}
}

// AwayCases are what RunAway runs, for a T of one's own.
func AwayCases(r Remote) []Case {
	var all []Case
	for _, a := range absences {
		all = append(all, Case{Name: a.name, Run: func(t T, _ Harness) { r.meets(t, a.listen(t), a.silent) }})
	}
	return all
}

func (r Remote) meets(t T, addr string, silent bool) {
	t.Helper()
	b, err := broker.Open(t.Context(), r.URL(addr), broker.Config{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := b.Check(ctx); !failure.IsUnavailable(err) {
		t.Errorf("check: %v, want unavailable", err)
	}
	r.publishes(ctx, t, b, silent)
	ch, err := b.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	select {
	case _, open := <-ch:
		t.Errorf("a subscription that waits gave a message or ended (message: %t)", open)
	case <-time.After(50 * time.Millisecond):
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range ch { // which ends with the broker
	}
	patience := r.Patience
	if patience == 0 {
		patience = 3 * time.Second
	}
	if took := time.Since(start); took > patience {
		t.Errorf("took %s", took)
	}
}

func (r Remote) publishes(ctx context.Context, t T, b *broker.Broker, silent bool) {
	t.Helper()
	msgs := []broker.Outgoing{{Topic: "t", Message: message.NewMessage("1", nil)}}
	if r.Impossible != "" {
		msgs = append(msgs, broker.Outgoing{Topic: r.Impossible, Message: message.NewMessage("2", nil)})
	}
	got := b.PublishBatch(ctx, msgs)
	if len(got) != len(msgs) {
		t.Fatalf("%d results for %d messages", len(got), len(msgs))
	}
	if !failure.IsUnavailable(got[0]) {
		t.Errorf("publish: %v, want unavailable", got[0])
	}
	if silent && !errors.Is(got[0], context.DeadlineExceeded) {
		t.Errorf("publish: %v, want the deadline named", got[0])
	}
	if len(got) == 2 && (!failure.IsPermanent(got[1]) || failure.IsUnavailable(got[1])) {
		t.Errorf("an impossible topic gives %v", got[1])
	}
}

func listen(t T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return l
}

// closedPort is an address where nobody listens.
func closedPort(t T) string {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return l.Addr().String()
}

// blackHole is an address where connections are taken and nothing is answered.
func blackHole(t T) string {
	t.Helper()
	l := listen(t)
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
