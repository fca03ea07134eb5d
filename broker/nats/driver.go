package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func init() { broker.Register("nats", open) }

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	o, err := readOptions(u)
	if err != nil || opts.ValidateOnly {
		return nil, err
	}
	return newDriver(o, opts.Logger), nil
}

// driver connects when it is first used. Publishing has a connection of its
// own: a batch shall not hold up acks and heartbeats.
type driver struct {
	options
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // ends at Close
	cancel context.CancelFunc

	publishing *publisher
	consuming  *link

	mu      sync.Mutex
	streams map[string]*streamRef // by topic
}

func newDriver(o options, logger *slog.Logger) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	d := &driver{
		options: o, logger: logger, ctx: ctx, cancel: cancel,
		streams: map[string]*streamRef{},
	}
	d.publishing = newPublisher(d)
	d.consuming = newLink(d, "subscribing", nil)
	return d
}

// Capabilities says what JetStream can do.
func (d *driver) Capabilities() broker.Capabilities {
	guarantee := "Publish returns when the stream has stored the message on a majority of its replicas; it is delivered " +
		"at least once to every group, unless the stream's limits (max_age, max_bytes) delete it before."
	if d.created.Storage == jetstream.MemoryStorage {
		guarantee += " Streams in memory end with the server."
	}
	if d.order == broker.OrderByKey {
		guarantee += " One member of a group is served at a time."
	}
	return broker.Capabilities{
		Driver:            "nats",
		Guarantee:         guarantee,
		Order:             d.order,
		Groups:            true,
		KeyConcurrency:    true,
		OldMessages:       true,
		Persistent:        true,
		SplitProcesses:    true,
		RedeliveryHorizon: d.horizon,
		MaxMessageBytes:   d.maxMessageBytes,
	}
}

// Check asks JetStream for the account, over the connection that exists.
func (d *driver) Check(ctx context.Context) error {
	js, err := d.consuming.get(ctx)
	if err != nil {
		return err
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return d.explain(ctx, "ask JetStream", err)
	}
	return nil
}

// explain marks err as unavailable unless only a person can set it right, and
// says why the wait ended, if it did.
func (d *driver) explain(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(err, errUnusable), failure.IsPermanent(err):
		return err
	case ctx.Err() != nil:
		return failure.Unavailable(fmt.Errorf("%s: %w (%w)", what, context.Cause(ctx), err))
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return failure.Unavailable(fmt.Errorf("%s: the server answers, but JetStream is not enabled for this account: %w", what, err))
	}
	return failure.Unavailable(fmt.Errorf("%s: %w", what, err))
}

// Close closes the connections. Batches under way are cut off.
func (d *driver) Close(ctx context.Context) error {
	d.cancel()
	return errors.Join(d.publishing.link.close(ctx), d.consuming.close(ctx))
}
