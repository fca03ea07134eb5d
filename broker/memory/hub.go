package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

var (
	errNoGroup = errors.New("no consumer group has subscribed to the topic")
	errFull    = errors.New("the queue of a consumer group is full")
)

// hub is the broker: topics, their groups, and one lock over all of it.
type hub struct {
	options
	name, query string // guarded by namedMu, as users is
	users       int

	mu     sync.Mutex
	topics map[string]map[string]*group
}

func newHub(o options) *hub {
	h := &hub{options: o, topics: map[string]map[string]*group{}}
	for _, g := range o.groups {
		h.group(g.topic, g.group)
	}
	return h
}

// group returns the group, which exists from now on. The lock is held, or the
// hub is not shared yet.
func (h *hub) group(topic, name string) *group {
	groups := h.topics[topic]
	if groups == nil {
		groups = map[string]*group{}
		h.topics[topic] = groups
	}
	g := groups[name]
	if g == nil {
		g = &group{hub: h, lanes: map[string]*lane{}, wake: make(chan struct{}, 1)}
		groups[name] = g
	}
	return g
}

// publication is one published message and the groups that still owe an ack.
type publication struct {
	uuid      string
	payload   []byte
	metadata  map[string]string
	key       string
	groups    map[string]*group // those that the topic had
	owed      int
	done      chan struct{} // closed when owed is 0
	withdrawn bool
}

func newPublication(m broker.Outgoing) *publication {
	p := &publication{
		uuid:     m.Message.UUID,
		payload:  bytes.Clone(m.Message.Payload),
		metadata: make(map[string]string, len(m.Message.Metadata)),
		key:      m.Message.Metadata.Get(header.Key),
		done:     make(chan struct{}),
	}
	maps.Copy(p.metadata, m.Message.Metadata)
	header.Strip(p.metadata)
	return p
}

// message makes the copy for one delivery: groups and attempts share nothing.
func (p *publication) message(ctx context.Context) *message.Message {
	msg := message.NewMessage(p.uuid, bytes.Clone(p.payload))
	maps.Copy(msg.Metadata, p.metadata)
	msg.SetContext(ctx)
	return msg
}

func (h *hub) publish(ctx context.Context, msgs []broker.Outgoing) []error {
	results := make([]error, len(msgs))
	if ctx.Err() != nil {
		for i := range results {
			results[i] = notAcked(ctx)
		}
		return results
	}
	pubs := make([]*publication, len(msgs))
	for i, m := range msgs {
		pubs[i] = newPublication(m)
	}
	failed := h.enqueue(msgs, pubs, results)
	if h.ackNone {
		return orNil(results, failed)
	}
	for i, p := range pubs {
		if results[i] != nil {
			continue
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			h.withdraw(ctx, pubs, results)
			return orNil(results, true)
		}
	}
	return orNil(results, failed)
}

func orNil(results []error, failed bool) []error {
	if !failed {
		return nil
	}
	return results
}

func notAcked(ctx context.Context) error {
	return failure.Unavailable(fmt.Errorf("wait for the groups to ack: %w", context.Cause(ctx)))
}

// enqueue gives every message to every group of its topic, or refuses it. It
// holds the lock throughout, so a queue that is full stays full, and no later
// message of a key is accepted behind one that was refused.
func (h *hub) enqueue(msgs []broker.Outgoing, pubs []*publication, results []error) (failed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range pubs {
		groups := h.topics[msgs[i].Topic]
		if err := h.refusal(groups); err != nil {
			results[i], failed = failure.Unavailable(err), true
			continue
		}
		p.groups, p.owed = maps.Clone(groups), len(groups)
		for _, g := range groups {
			g.push(p)
		}
	}
	return failed
}

// refusal says why a topic with these groups takes no message.
func (h *hub) refusal(groups map[string]*group) error {
	if len(groups) == 0 && !h.ackNone {
		return errNoGroup
	}
	for _, g := range groups {
		if g.queued >= h.maxQueued {
			return errFull
		}
	}
	return nil
}

// withdraw takes back what was not acked. The results of one batch are read
// under one lock: were they read one by one, a later message of a key might be
// seen as acked after an earlier one was given up.
func (h *hub) withdraw(ctx context.Context, pubs []*publication, results []error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	touched := map[*group]struct{}{}
	for i, p := range pubs {
		if results[i] != nil || p.owed == 0 {
			continue
		}
		results[i] = notAcked(ctx)
		p.withdrawn = true
		for _, g := range p.groups {
			touched[g] = struct{}{}
		}
	}
	for g := range touched {
		g.sweep()
	}
}
