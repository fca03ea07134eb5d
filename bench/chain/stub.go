package chain

import (
	"context"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// window is how many messages a stub has usually handed over and not heard of yet.
const window = 1024

// stub is a subscriber that costs next to nothing: it hands over total
// messages, up to inFlight of them at a time, and counts the acks.
type stub struct {
	prefix   string // of the UUIDs, so that no run meets records of another
	total    int
	inFlight int

	acked  int
	nacked int
	done   chan struct{} // closed when all are settled
	wg     sync.WaitGroup
}

func newStub(prefix string, total, inFlight int) *stub {
	return &stub{prefix: prefix, total: total, inFlight: inFlight, done: make(chan struct{})}
}

func (s *stub) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message, s.inFlight)
	pending := make(chan *message.Message, s.inFlight-1) // and one in collect's hands
	s.wg.Go(func() { s.send(ctx, out, pending) })
	s.wg.Go(func() { s.collect(ctx, pending) })
	return out, nil
}

// Close waits for what Subscribe has started, which ends with its context.
func (s *stub) Close() error {
	s.wg.Wait()
	return nil
}

func (s *stub) send(ctx context.Context, out, pending chan<- *message.Message) {
	defer close(out)
	payload := make([]byte, 256)
	for i := range s.total {
		msg := message.NewMessageWithContext(ctx, s.prefix+strconv.Itoa(i), payload)
		msg.Metadata = message.Metadata{"content-type": "application/json", "tenant": "shop", "version": "1"}
		select {
		case pending <- msg:
		case <-ctx.Done():
			return
		}
		select {
		case out <- msg:
		case <-ctx.Done():
			return
		}
	}
	<-ctx.Done()
}

func (s *stub) collect(ctx context.Context, pending <-chan *message.Message) {
	for range s.total {
		var msg *message.Message
		select {
		case msg = <-pending:
		case <-ctx.Done():
			return
		}
		select {
		case <-msg.Acked():
			s.acked++
		case <-msg.Nacked():
			s.nacked++
		case <-ctx.Done():
			return
		}
	}
	close(s.done)
}
