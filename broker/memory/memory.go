package memory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func init() { broker.Register("memory", open) }

type options struct {
	groups      []topicGroup
	concurrency int
	backoff     redelivery.Backoff
	ackNone     bool
	maxQueued   int
}

type topicGroup struct{ topic, group string }

func readOptions(u *url.URL) (options, error) {
	q := urlparam.NewQuery(u)
	o := options{
		concurrency: q.Int("concurrency", 64, 1, 100_000),
		backoff:     redelivery.Backoff{First: 10 * time.Millisecond, Max: time.Second}.FromQuery(q),
		ackNone:     q.Enum("ack", "groups", "groups", "none") == "none",
		maxQueued:   q.Int("max_queued", 65_536, 1, 100_000_000),
	}
	if list := q.String("groups", ""); list != "" {
		for pair := range strings.SplitSeq(list, ",") {
			topic, group, found := strings.Cut(pair, "/")
			if !found || topic == "" || group == "" || strings.Contains(group, "/") {
				q.Problem("groups", "must be topic/group pairs, separated by commas")
				break
			}
			o.groups = append(o.groups, topicGroup{topic, group})
		}
	}
	problems := []error{q.Err()}
	if u.User != nil {
		problems = append(problems, errors.New("memory:// has no user name or password"))
	}
	if u.Path != "" && u.Path != "/" {
		problems = append(problems, errors.New("memory:// has no path: write memory://NAME"))
	}
	if strings.ContainsAny(u.Host, ":,[]% ") {
		problems = append(problems, errors.New("memory:// is followed by a name without a port"))
	}
	return o, errors.Join(problems...)
}

// The named hubs of this process. One lives as long as a driver has it open.
var (
	namedMu sync.Mutex
	named   = map[string]*hub{}
)

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	o, err := readOptions(u)
	if err != nil || opts.ValidateOnly {
		return nil, err
	}
	if u.Host == "" {
		return newDriver(newHub(o)), nil
	}
	namedMu.Lock()
	defer namedMu.Unlock()
	h := named[u.Host]
	switch {
	case h == nil:
		h = newHub(o)
		h.name, h.query = u.Host, u.RawQuery
		named[h.name] = h
	case h.query != u.RawQuery:
		return nil, fmt.Errorf("memory://%s is open with other parameters in this process", u.Host)
	}
	h.users++
	return newDriver(h), nil
}

// driver is one user of a hub.
type driver struct {
	hub    *hub
	ctx    context.Context //nolint:containedctx // ends at Close, so that no Publish outlives it
	cancel context.CancelFunc
}

func newDriver(h *hub) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	return &driver{hub: h, ctx: ctx, cancel: cancel}
}

func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(broker.ErrClosed) })()
	return d.hub.publish(ctx, msgs)
}

func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	return d.hub.subscribe(ctx, topic, group), nil
}

// Initialize makes the group exist.
func (d *driver) Initialize(_ context.Context, topic, group string) error {
	d.hub.mu.Lock()
	defer d.hub.mu.Unlock()
	d.hub.group(topic, group)
	return nil
}

func (d *driver) Check(ctx context.Context) error {
	if d.ctx.Err() != nil {
		return failure.Unavailable(broker.ErrClosed)
	}
	return ctx.Err()
}

func (d *driver) Close(context.Context) error {
	d.cancel()
	if d.hub.name == "" {
		return nil
	}
	namedMu.Lock()
	defer namedMu.Unlock()
	if d.hub.users--; d.hub.users == 0 {
		delete(named, d.hub.name)
	}
	return nil
}

func (d *driver) Capabilities() broker.Capabilities {
	c := broker.Capabilities{
		Driver:         "memory",
		Order:          broker.OrderByKey,
		Groups:         true,
		KeyConcurrency: true,
		ConsumedAck:    true,
		Guarantee: "Publish returns when every group of the topic has acked, so a sender that keeps a message until then loses nothing; " +
			"the broker itself stores nothing, and publisher and subscribers must be one process.",
	}
	if d.hub.ackNone {
		c.ConsumedAck = false
		c.Guarantee = "Publish returns when the message is in memory: what is not consumed yet is lost when the process ends, and a message to a topic without groups is dropped."
	}
	return c
}
