package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func init() { broker.Register("kafka", open) }

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
	wg     sync.WaitGroup // producers being closed

	// slots bounds the batches under way: each has a producer to itself, so
	// that what ends one batch touches no other.
	slots chan struct{}
	mu    sync.Mutex
	idle  []*producer
	known map[string]struct{} // topics that exist
}

func newDriver(o options, logger *slog.Logger) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	return &driver{
		options: o, logger: logger, ctx: ctx, cancel: cancel,
		slots: make(chan struct{}, o.producers),
		known: map[string]struct{}{},
	}
}

// Capabilities says what Kafka can do.
func (d *driver) Capabilities() broker.Capabilities {
	return broker.Capabilities{
		Driver: "kafka",
		Guarantee: "Publish returns when all in-sync replicas have the message (acks=all, idempotent producer); " +
			"it is delivered at least once to every group that subscribes while the topic keeps it. " + d.consumer.order(),
		Order:             broker.OrderByKey,
		Groups:            true,
		KeyConcurrency:    d.consumer.concurrency > 1,
		OldMessages:       true,
		Persistent:        true,
		SplitProcesses:    true,
		RedeliveryHorizon: d.horizon,
		MaxMessageBytes:   d.config.Producer.MaxMessageBytes,
	}
}

// Check asks the brokers of the URL, on a connection of its own, until one
// answers.
func (d *driver) Check(ctx context.Context) error {
	config, f := d.fenced()
	defer f.cut()
	defer context.AfterFunc(ctx, f.cut)()
	var problems []error
	for _, addr := range d.addrs {
		err := ask(addr, config)
		if err == nil {
			return nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", addr, err))
	}
	return d.away(ctx, errors.Join(problems...))
}

func ask(addr string, config *sarama.Config) error {
	b := sarama.NewBroker(addr)
	if err := b.Open(config); err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if _, err := b.Connected(); err != nil { // waits for the dial and the login
		return err
	}
	_, err := b.ApiVersions(&sarama.ApiVersionsRequest{})
	return err
}

// away marks err as unavailable and says why the wait ended, if it did.
func (d *driver) away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return failure.Unavailable(fmt.Errorf("reach kafka: %w (%w)", context.Cause(ctx), err))
	}
	return failure.Unavailable(fmt.Errorf("reach kafka: %w", err))
}

// Close closes the producers. Batches under way are cut off.
func (d *driver) Close(ctx context.Context) error {
	d.cancel()
	d.mu.Lock()
	idle := d.idle
	d.idle = nil
	d.mu.Unlock()
	for _, p := range idle {
		d.retire(p, 0)
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
		return fmt.Errorf("wait for kafka's connections to close: %w", ctx.Err())
	}
}

// retire closes a producer in the background. After grace its connections are
// cut, which bounds what sarama may take for it.
func (d *driver) retire(p *producer, grace time.Duration) {
	d.wg.Go(func() {
		timer := time.AfterFunc(grace, p.fence.cut)
		defer timer.Stop()
		p.close()
	})
}
