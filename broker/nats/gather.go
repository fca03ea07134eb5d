package nats

import (
	"cmp"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// due is what a group's members had not acked at some moment.
type due struct {
	pending int    // messages
	upTo    uint64 // the latest one, by sequence
}

func (c *claim) isGathering() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gathering
}

// gather takes over from the member that was served before. What that one had
// and did not ack comes again in any order, with new messages in between, and
// only once it is given back or its ack_wait has passed. So all of it is
// waited for, and then delivered in order; nobody else can get any of it.
func (c *claim) gather(i *item) {
	if i != nil {
		c.gathered = append(c.gathered, i)
	}
	if len(c.gathered) == 0 || !c.isGathering() {
		return
	}
	if c.due == nil {
		info, err := c.info(c.ctx)
		if err != nil {
			return // the next beat asks again
		}
		c.due = &due{pending: info.NumAckPending, upTo: info.Delivered.Stream}
	}
	if c.heldUpTo(c.due.upTo) < c.due.pending {
		return
	}
	c.mu.Lock()
	c.gathering = false
	c.mu.Unlock()
	slices.SortFunc(c.gathered, func(a, b *item) int { return cmp.Compare(a.position.sequence, b.position.sequence) })
	for _, i := range c.gathered {
		c.dispatcher.Add(i)
	}
	c.gathered, c.due = nil, nil
}

func (c *claim) heldUpTo(sequence uint64) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.held {
		if s <= sequence {
			n++
		}
	}
	return n
}

// pinned returns the pin of the member that is served.
func pinned(info *jetstream.ConsumerInfo) string {
	for _, g := range info.PriorityGroups {
		if g.Group == pinGroup {
			return g.PinnedClientID
		}
	}
	return ""
}
