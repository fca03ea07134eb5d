package contender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// outboxTopic is the forwarder's default.
const outboxTopic = "forwarder_topic"

// tunedPoll is below which PostgreSQL pays more than the latency is worth.
const tunedPoll = 10 * time.Millisecond

// plainSettings are those of watermill-sql's subscriber; zero is its default.
type plainSettings struct {
	batch int
	poll  time.Duration
}

// plainAdapters are the parts of watermill-sql that know the database.
func plainAdapters(kind string, batch int) (wsql.SchemaAdapter, wsql.OffsetsAdapter) {
	if kind == server.KindMariaDB {
		return wsql.DefaultMySQLSchema{SubscribeBatchSize: batch}, wsql.DefaultMySQLOffsetsAdapter{}
	}
	return wsql.DefaultPostgreSQLSchema{SubscribeBatchSize: batch}, wsql.DefaultPostgreSQLOffsetsAdapter{}
}

// plainOutbox writes with Watermill's forwarder publisher.
type plainOutbox struct{ place Place }

func newPlainOutbox(p Place) Outbox { return plainOutbox{place: p} }

func (o plainOutbox) Prepare(_ context.Context, db *sql.DB) error {
	return (&plain{place: o.place, db: db}).subscribe()
}

func (o plainOutbox) Write(_ context.Context, tx *sql.Tx, msgs []workload.Keyed) error {
	schema, _ := plainAdapters(o.place.DatabaseKind, 0)
	inner, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: schema}, nil)
	if err != nil {
		return fmt.Errorf("make publisher: %w", err)
	}
	return forwarder.NewPublisher(inner, forwarder.PublisherConfig{}).Publish(o.place.Topic, messagesOf(msgs)...)
}

// plain is Watermill's own forwarder between its own SQL subscriber and its own
// publisher.
type plain struct {
	place    Place
	settings plainSettings

	db         *sql.DB
	subscriber *wsql.Subscriber
	publisher  message.Publisher
	forwarder  *forwarder.Forwarder
}

func plainRelay(s plainSettings) func(Place) child.Task {
	return func(p Place) child.Task { return &plain{place: p, settings: s} }
}

func (p *plain) subscribe() error {
	schema, offsets := plainAdapters(p.place.DatabaseKind, p.settings.batch)
	var err error
	p.subscriber, err = wsql.NewSubscriber(p.db, wsql.SubscriberConfig{
		SchemaAdapter: schema, OffsetsAdapter: offsets, PollInterval: p.settings.poll, InitializeSchema: true,
	}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make subscriber: %w", err)
	}
	if err := p.subscriber.SubscribeInitialize(outboxTopic); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	return nil
}

func (p *plain) Open(ctx context.Context) error {
	var err error
	if p.db, err = server.OpenURL(p.place.DatabaseKind, p.place.DatabaseURL); err != nil {
		return err
	}
	if err := p.subscribe(); err != nil {
		return err
	}
	if p.publisher, err = plainPublisher(ctx, p.place); err != nil {
		return fmt.Errorf("make publisher: %w", err)
	}
	p.forwarder, err = forwarder.NewForwarder(p.subscriber, p.publisher, watermill.NopLogger{}, forwarder.Config{})
	if err != nil {
		return fmt.Errorf("make forwarder: %w", err)
	}
	return nil
}

func (p *plain) Run(ctx context.Context) error {
	err := p.forwarder.Run(ctx)
	return errors.Join(err, p.forwarder.Close())
}

func (p *plain) Close() (any, error) {
	var err error
	if p.publisher != nil {
		err = p.publisher.Close()
	}
	if p.db != nil {
		err = errors.Join(err, p.db.Close())
	}
	return nil, err
}
