package amqp

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/broker"
)

func init() {
	broker.Register("amqp", open)
	broker.Register("amqps", open)
}

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	o, err := readOptions(u)
	if err != nil || opts.ValidateOnly {
		return nil, err
	}
	return newDriver(o, opts.Logger), nil
}

// driver connects when it is first used.
type driver struct {
	options
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // batches under way, connections being closed

	// slots bounds the batches under way: each has a connection to itself, so
	// that what ends one batch touches no other.
	slots  chan struct{}
	mu     sync.Mutex
	closed bool
	idle   []*publisher
	// topics that were declared by this driver; true: a queue was bound to it.
	topics map[string]bool
	wary   map[string]time.Time // when a queue last refused a message of the topic
	queues map[string]topicName // whose name each queue is
	limit  int                  // the server's, once it has told: bytes of a payload
}

type topicName struct{ topic, group string }

func newDriver(o options, logger *slog.Logger) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	return &driver{
		options: o, logger: logger, ctx: ctx, cancel: cancel,
		slots:  make(chan struct{}, o.publishers),
		topics: map[string]bool{},
		wary:   map[string]time.Time{},
		queues: map[string]topicName{},
	}
}

// Capabilities says what RabbitMQ, as it is configured, can do.
func (d *driver) Capabilities() broker.Capabilities {
	c := broker.Capabilities{
		Driver: d.scheme,
		Guarantee: "Publish returns when RabbitMQ has confirmed the message, persistent and in every queue of its topic; " +
			"one to a topic without a consumer group is refused. It is delivered at least once to every group declared before.",
		Order:             broker.OrderByKey,
		Groups:            true,
		KeyConcurrency:    true,
		Persistent:        true,
		SplitProcesses:    true,
		RedeliveryHorizon: d.horizon,
		MaxMessageBytes:   d.maxBytes,
	}
	if !d.single {
		c.Order = broker.OrderNone
	}
	if d.drop {
		c.Guarantee = "Publish returns when RabbitMQ has confirmed the message, persistent and in every queue of its topic; " +
			"one to a topic without a consumer group is dropped. It is delivered at least once to every group declared before."
	}
	return c
}

// Check logs in at the hosts of the URL, until one answers.
func (d *driver) Check(ctx context.Context) error {
	l, err := d.dial(ctx)
	if err != nil {
		return err
	}
	l.leave()
	return nil
}

// enter reports whether the driver is open still. Whoever has entered calls
// wg.Done.
func (d *driver) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Add(1)
	return true
}

// Close closes the connections. Batches under way are cut off.
func (d *driver) Close(ctx context.Context) error {
	d.cancel()
	d.mu.Lock()
	d.closed = true // nothing enters any more, so that wg can be waited for
	idle := d.idle
	d.idle = nil
	d.mu.Unlock()
	for _, p := range idle {
		d.wg.Go(p.link.leave)
	}
	done := make(chan struct{})
	go func() {
		d.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for rabbitmq's connections to close: %w", ctx.Err())
	}
}
