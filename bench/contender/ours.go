package contender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/workload"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/amqp"  // amqp://
	_ "github.com/sluicegate/sluicegate/broker/kafka" // kafka://
	_ "github.com/sluicegate/sluicegate/broker/nats"  // nats://
	_ "github.com/sluicegate/sluicegate/broker/redis" // redis://
	"github.com/sluicegate/sluicegate/forwarder"
)

// ourOutbox writes with our outbox, with its defaults.
type ourOutbox struct {
	place  Place
	notify bool
	outbox *forwarder.Outbox
}

func newOurOutbox(p Place) Outbox { return &ourOutbox{place: p} }

func (o *ourOutbox) Prepare(ctx context.Context, db *sql.DB) error {
	config, err := outboxConfig(o.place, db, o.notify)
	if err != nil {
		return err
	}
	if o.outbox, err = forwarder.New(db, config); err != nil {
		return err
	}
	return o.outbox.Migrate(ctx)
}

func (o *ourOutbox) Write(ctx context.Context, tx *sql.Tx, msgs []workload.Keyed) error {
	for _, m := range msgs {
		forwarder.SetKey(m.Message, m.Key)
	}
	return o.outbox.Publish(ctx, tx, o.place.Topic, messagesOf(msgs)...)
}

// ourSettings are what differs from the defaults.
type ourSettings struct {
	noHistory bool
	takeover  bool
	notify    bool
}

// ours is our relay, or our takeover of Watermill's table.
type ours struct {
	place    Place
	settings ourSettings

	db     *sql.DB
	broker *broker.Broker
	run    func(ctx context.Context) error
}

func ourRelay(s ourSettings) func(Place) child.Task {
	return func(p Place) child.Task { return &ours{place: p, settings: s} }
}

func (o *ours) Open(ctx context.Context) error {
	var err error
	if o.db, err = server.OpenURL(o.place.DatabaseKind, o.place.DatabaseURL); err != nil {
		return err
	}
	if o.broker, err = openBroker(ctx, o.place.BrokerURL); err != nil {
		return err
	}
	config, err := outboxConfig(o.place, o.db, o.settings.notify)
	if err != nil {
		return err
	}
	outbox, err := forwarder.New(o.db, config)
	if err != nil {
		return err
	}
	if err := outbox.Migrate(ctx); err != nil {
		return err
	}
	if o.settings.takeover {
		// It watches for a living forwarder of theirs first, which is not what
		// is measured here.
		takeover, err := outbox.NewTakeover(o.broker, forwarder.TakeoverConfig{WatchFor: time.Millisecond})
		if err != nil {
			return err
		}
		o.run = takeover.Run
		return nil
	}
	relay, err := outbox.NewRelay(o.broker, forwarder.RelayConfig{NoHistory: o.settings.noHistory})
	if err != nil {
		return err
	}
	o.run = relay.Run
	return nil
}

// openBroker opens a broker and connects.
func openBroker(ctx context.Context, url string) (*broker.Broker, error) {
	b, err := broker.Open(ctx, url, broker.Config{})
	if err != nil {
		return nil, err
	}
	if err := b.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), b.Close())
	}
	return b, nil
}

func (o *ours) Run(ctx context.Context) error { return o.run(ctx) }

func (o *ours) Close() (any, error) {
	var err error
	if o.broker != nil {
		err = o.broker.Close()
	}
	if o.db != nil {
		err = errors.Join(err, o.db.Close())
	}
	return nil, err
}
