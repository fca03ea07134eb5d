package nats

import (
	"context"
	"encoding/json"
	"time"
)

// request asks for messages, as the server reads it.
type request struct {
	Expires time.Duration `json:"expires"`
	Batch   int           `json:"batch"`
	Group   string        `json:"group,omitempty"`
	Pin     string        `json:"id,omitempty"`
}

// ask requests as many messages as there is room for, if that is worth a
// request, or if the server has to hear of us.
func (c *claim) ask(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.ctx.Err() != nil {
		return
	}
	since := now.Sub(c.asked)
	if since > 2*c.beat() {
		c.requested = 0 // every request has ended by now, though we were not told
	}
	room := c.consumer.prefetch - len(c.held) - c.requested
	switch {
	case room > 0 && (c.requested == 0 || room >= (c.consumer.prefetch+3)/4):
	case c.pin != "" && since >= c.beat():
		room = max(room, 1) // or the pin is lost; the server holds more back by itself
	default:
		return
	}
	r := request{Expires: c.beat(), Batch: room}
	if c.consumer.pinned {
		r.Group, r.Pin = pinGroup, c.pin
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = c.nc.PublishRequest(c.next, c.sub.Subject, data)
	}
	if err != nil {
		return // not connected: the next beat tries again
	}
	c.asked = now
	c.requested += room
}

// keepAlive sends heartbeats for what is held, and ends the claim when none
// can have been heard for ack_wait.
func (c *claim) keepAlive() {
	ticker := time.NewTicker(c.beat())
	defer ticker.Stop()
	deadline := time.AfterFunc(c.consumer.ackWait, func() { c.end(errCutOff) })
	defer deadline.Stop()
	for {
		began := time.Now()
		c.sendHeartbeats()
		ctx, cancel := context.WithTimeout(c.ctx, c.beat())
		err := c.nc.FlushWithContext(ctx)
		cancel()
		if err == nil && c.ctx.Err() == nil {
			deadline.Reset(max(c.consumer.ackWait-time.Since(began), 0))
		}
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
	}
}

var (
	inProgress = []byte("+WPI")
	nak        = []byte("-NAK")
	ackMark    = []byte("+ACK")
)

func (c *claim) sendHeartbeats() {
	c.mu.Lock()
	replies := make([]string, 0, len(c.held))
	for _, i := range c.held {
		if !i.fresh {
			replies = append(replies, i.reply)
		}
		i.fresh = false
	}
	c.mu.Unlock()
	for _, reply := range replies {
		if c.nc.Publish(reply, inProgress) != nil {
			return
		}
	}
}
