package nats

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluicegate/sluicegate/internal/header"
)

// leaveGrace is how long a claim that ends may take to give back what it
// holds. What it cannot give back is due after ack_wait.
const leaveGrace = 3 * time.Second

// maxUnsent bounds what a subscription remembers of acks that it could not send.
const maxUnsent = 100_000

func keyOf(m *nats.Msg) string {
	if values := m.Header[header.Key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// ack tells the server. No later message of the key is delivered before.
func (c *claim) ack(i *item) {
	i.end()
	c.mu.Lock()
	delete(c.held, i.position.sequence)
	reply := i.reply
	c.mu.Unlock()
	c.sendAck(i.position, reply)
	c.ask(time.Now())
}

func (c *claim) sendAck(p position, reply string) {
	var err error
	if c.ackSync {
		ctx, cancel := context.WithTimeout(context.Background(), c.consumer.ackWait)
		_, err = c.nc.RequestWithContext(ctx, reply, ackMark)
		cancel()
	} else {
		err = c.nc.Publish(reply, ackMark)
	}
	if err == nil {
		return
	}
	c.logger.Debug("nats ack not sent", "sequence", p.sequence, "err", err)
	c.subscription.mu.Lock()
	defer c.subscription.mu.Unlock()
	if len(c.unsent) < maxUnsent {
		c.unsent[p] = struct{}{}
	}
}

// ackedBefore reports whether the message was acked while that could not be
// told to the server. Another message has its sequence where the stream was made
// again meanwhile, as one in memory is when the server restarts.
func (s *subscription) ackedBefore(p position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, acked := s.unsent[p]
	delete(s.unsent, p)
	return acked
}

// leave ends the claim and gives back what it holds, so that others have it
// at once.
func (c *claim) leave() {
	c.end(nil)
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	c.dispatcher.Close() // from here on nothing is acked any more
	ctx, cancel := context.WithTimeout(context.Background(), leaveGrace)
	defer cancel()
	if !c.nc.IsConnected() {
		_ = c.sub.Unsubscribe()
		return
	}
	// What the server has sent by the time that it forgets the subscription
	// has come when it answers the flush.
	c.quiet(ctx)
	if err := c.sub.Drain(); err != nil {
		return
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return
	}
	c.collect()
	c.giveBack(ctx)
	c.unpin(ctx)
}

// quiet takes what is still coming for a moment: what the server sends
// after the subscription is gone is due only after ack_wait.
func (c *claim) quiet(ctx context.Context) {
	const pause, most = 2 * time.Millisecond, 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for timer := time.NewTimer(pause); ; timer.Reset(pause) {
		c.mu.Lock()
		nothing := c.requested == 0
		c.mu.Unlock()
		if nothing {
			return
		}
		select {
		case m := <-c.in:
			c.collectOne(m)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// collect takes what has come and was not looked at.
func (c *claim) collect() {
	for {
		select {
		case m := <-c.in:
			c.collectOne(m)
		default:
			return
		}
	}
}

func (c *claim) collectOne(m *nats.Msg) {
	if p, err := readPosition(m.Reply); err == nil {
		c.hold(m, p)
	}
}

// giveBack returns what is held. The last is waited for, so that the server
// has taken note of all before another member is served.
func (c *claim) giveBack(ctx context.Context) {
	c.mu.Lock()
	sequences := slices.Sorted(maps.Keys(c.held))
	replies := make([]string, len(sequences))
	for n, sequence := range sequences {
		replies[n] = c.held[sequence].reply
	}
	c.mu.Unlock()
	for n, reply := range replies {
		var err error
		if n == len(replies)-1 {
			_, err = c.nc.RequestWithContext(ctx, reply, nak)
		} else {
			err = c.nc.Publish(reply, nak)
		}
		if err != nil {
			return
		}
	}
}

// unpin lets the next member be served at once.
func (c *claim) unpin(ctx context.Context) {
	c.mu.Lock()
	mine := c.pin
	c.mu.Unlock()
	if mine == "" {
		return
	}
	info, err := c.info(ctx)
	if err != nil || pinned(info) != mine {
		return
	}
	stream, err := c.js.Stream(ctx, c.consumer.stream)
	if err == nil {
		err = stream.UnpinConsumer(ctx, c.consumer.name, pinGroup)
	}
	if err != nil {
		c.logger.Debug("nats consumer not unpinned", "err", err)
	}
}
