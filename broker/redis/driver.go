package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
)

func init() {
	broker.Register("redis", open)
	broker.Register("rediss", open)
}

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	o, err := readOptions(u)
	if err != nil || opts.ValidateOnly {
		return nil, err
	}
	return newDriver(o, opts.Logger), nil
}

// driver connects when it is first used. Its connections are its own.
type driver struct {
	options
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// slots bounds the batches under way: each has a connection to itself, so
	// that what cuts one touches no other.
	slots chan struct{}
	mu    sync.Mutex
	idle  []*line

	inspected atomic.Bool
}

func newDriver(o options, logger *slog.Logger) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	return &driver{
		options: o, logger: logger, ctx: ctx, cancel: cancel,
		slots: make(chan struct{}, o.publishers),
	}
}

// Capabilities says what Redis Streams can do.
func (d *driver) Capabilities() broker.Capabilities {
	c := broker.Capabilities{
		Driver:            d.scheme,
		Guarantee:         d.guarantee(),
		Order:             broker.OrderNone,
		Groups:            true,
		KeyConcurrency:    true,
		OldMessages:       true,
		Persistent:        true,
		SplitProcesses:    true,
		RedeliveryHorizon: d.horizon,
		MaxMessageBytes:   d.maxBytes,
	}
	if d.ordered {
		c.Order = broker.OrderByKey
	}
	return c
}

func (d *driver) guarantee() string {
	stored := "Publish returns when the server has stored the message"
	if d.waitReplicas > 0 {
		stored += fmt.Sprintf(" and %d of its replicas have it", d.waitReplicas)
	}
	lost := "; what a crash of the server or a failover can still lose is what its appendonly and appendfsync settings and its replicas allow " +
		"(nothing with appendfsync always and the same server)"
	until := "; it is delivered at least once to every group"
	if d.maxlen > 0 {
		until += fmt.Sprintf(", unless about %d later ones have pushed it out before (maxlen)", d.maxlen)
	}
	return stored + lost + until + "."
}

// Check asks the server on a connection of its own.
func (d *driver) Check(ctx context.Context) error {
	l := d.newLine(replyTimeout)
	defer l.close()
	return l.do(ctx, func(c *goredis.Client) error {
		if err := c.Ping(ctx).Err(); err != nil {
			return err
		}
		d.inspect(ctx, c)
		return nil
	})
}

// Close closes the connections. Batches under way are cut off.
func (d *driver) Close(ctx context.Context) error {
	d.mu.Lock()
	d.cancel()
	idle := d.idle
	d.idle = nil
	d.mu.Unlock()
	for _, l := range idle {
		l.close()
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
		return fmt.Errorf("wait for redis's connections to close: %w", ctx.Err())
	}
}
