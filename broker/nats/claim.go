package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
)

// claim is a subscription for as long as the server takes it for one. Its
// messages are kept from others by heartbeats; it ends where those may not have
// been heard.
type claim struct {
	*subscription
	consumer *consumerRef
	js       jetstream.JetStream
	nc       *nats.Conn
	next     string // the subject of requests for messages

	ctx        context.Context //nolint:containedctx // the claim itself
	end        context.CancelCauseFunc
	dispatcher *dispatch.Dispatcher[*item]
	in         chan *nats.Msg
	sub        *nats.Subscription

	mu        sync.Mutex
	held      map[uint64]*item // by sequence: delivered to us and not acked
	pin       string           // by which the server knows whom it serves
	requested int              // messages asked for and not come yet
	asked     time.Time        // when the last request was sent
	leaving   bool
	gathering bool // see gather

	gathered []*item // of the goroutine of serve, like due
	due      *due
}

// item is a message that this claim holds.
type item struct {
	msg      *nats.Msg
	position position
	reply    string             // where acks go; of the latest delivery
	fresh    bool               // came since the last heartbeat
	end      context.CancelFunc // of the context of the attempt
}

// attempt makes a message whose context ends with its Ack or the next attempt.
func (i *item) attempt(claim context.Context) *message.Message {
	if i.end != nil {
		i.end()
	}
	msg := unmarshal(i.msg, i.position)
	var ctx context.Context
	ctx, i.end = context.WithCancel(claim)
	msg.SetContext(ctx)
	return msg
}

func newClaim(ctx context.Context, s *subscription, js jetstream.JetStream, consumer *consumerRef) *claim {
	c := &claim{
		subscription: s, consumer: consumer, js: js, nc: js.Conn(),
		next: s.apiPrefix() + "CONSUMER.MSG.NEXT." + consumer.stream + "." + consumer.name,
		in:   make(chan *nats.Msg, 2*consumer.prefetch+256), // more never come
		held: map[uint64]*item{}, gathering: consumer.pinned,
	}
	c.ctx, c.end = context.WithCancelCause(ctx)
	c.dispatcher = dispatch.New(c.ctx, s.out, dispatch.Handlers[*item]{
		Key:     func(i *item) string { return keyOf(i.msg) },
		Message: func(i *item) *message.Message { return i.attempt(c.ctx) },
		Acked:   c.ack,
	}, dispatch.Config{
		Concurrency: s.concurrency,
		Queue:       consumer.prefetch + 1, // the server bounds it: what is queued gets heartbeats
		Backoff:     s.backoff,
	})
	return c
}

func (d *driver) apiPrefix() string {
	if d.domain != "" {
		return "$JS." + d.domain + ".API."
	}
	return "$JS.API."
}

func (c *claim) subscribe() (err error) {
	c.sub, err = c.nc.ChanSubscribe(c.nc.NewInbox(), c.in)
	return err
}

// beat is the time between heartbeats, and for how long the server keeps a
// request for messages.
func (c *claim) beat() time.Duration { return c.consumer.ackWait / 4 }

// serve hands messages to the dispatcher until the claim ends, and says why.
func (c *claim) serve() error {
	var heart sync.WaitGroup
	heart.Go(c.keepAlive)
	defer heart.Wait()
	ticker := time.NewTicker(c.beat())
	defer ticker.Stop()
	c.ask(time.Now())
	for {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case now := <-ticker.C:
			c.ask(now)
			c.due = nil
			c.gather(nil)
		case m := <-c.in:
			if err := c.receive(m); err != nil {
				c.end(err)
			}
		}
	}
}

// receive takes a message or a status. An error ends the claim.
func (c *claim) receive(m *nats.Msg) error {
	p, err := readPosition(m.Reply)
	if err != nil {
		return c.status(m)
	}
	i := c.hold(m, p)
	if i == nil {
		return nil
	}
	if c.isGathering() {
		c.gather(i)
	} else {
		c.dispatcher.Add(i) // or it is given back with the others
	}
	c.ask(time.Now())
	return nil
}

// hold notes a delivery. Nil means that there is nothing to deliver: it is
// under way here already, or was acked before.
func (c *claim) hold(m *nats.Msg, p position) *item {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requested = max(c.requested-1, 0)
	if pin := m.Header.Get("Nats-Pin-Id"); pin != "" && pin != c.pin {
		c.pin, c.gathering = pin, true
	}
	if i := c.held[p.sequence]; i != nil {
		i.reply = m.Reply
		return nil
	}
	if c.ackedBefore(p) {
		c.sendAck(p, m.Reply)
		return nil
	}
	i := &item{msg: m, position: p, reply: m.Reply, fresh: true}
	c.held[p.sequence] = i
	return i
}

// status reads what the server says instead of a message.
func (c *claim) status(m *nats.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch code {
	case "100": // still there
	case "404", "408": // a request has ended
		c.mu.Lock()
		unused := 0
		_, _ = fmt.Sscan(m.Header.Get("Nats-Pending-Messages"), &unused)
		c.requested = max(c.requested-unused, 0)
		c.mu.Unlock()
		c.ask(time.Now())
	case "409":
		if text == "Consumer Deleted" || text == "Consumer is push based" {
			return fmt.Errorf("the server ended the request: %s", text)
		}
		c.mu.Lock()
		c.requested = 0 // asked for again with the next beat
		c.mu.Unlock()
	case "423":
		return c.pinLost()
	case "503":
		return errors.New("nobody answers for the consumer: it, its stream or JetStream is gone")
	default:
		return fmt.Errorf("the server refused a request for messages: %s %s", code, text)
	}
	return nil
}

// pinLost is called when the server serves nobody by our pin. After a restart
// it has forgotten whom it served: then we may be the first to ask again, and
// go on. Otherwise another one is served, perhaps with messages of our keys.
func (c *claim) pinLost() error {
	c.mu.Lock()
	mine := c.pin
	c.mu.Unlock()
	if mine == "" {
		return nil // an older request
	}
	info, err := c.info(c.ctx)
	if err != nil {
		return fmt.Errorf("ask who is served: %w", err)
	}
	if pin := pinned(info); pin != "" && pin != mine {
		return errReplaced
	}
	c.mu.Lock()
	c.pin, c.requested = "", 0
	c.mu.Unlock()
	c.ask(time.Now())
	return nil
}

func (c *claim) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, c.beat())
	defer cancel()
	consumer, err := c.js.Consumer(ctx, c.consumer.stream, c.consumer.name)
	if err != nil {
		return nil, err
	}
	return consumer.CachedInfo(), nil
}
