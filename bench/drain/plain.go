package drain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
)

// plain is Watermill's own forwarder between its own SQL subscriber and Kafka
// publisher, all with their defaults.
type plain struct {
	topic     string
	publisher *kafka.Publisher
	forwarder *forwarder.Forwarder
}

// outboxTopic is the forwarder's default.
const outboxTopic = "forwarder_topic"

func (p *plain) Open(_ context.Context, t Target) error {
	p.topic = t.Topic
	logger := watermill.NopLogger{}
	subscriber, err := wsql.NewSubscriber(t.DB, wsql.SubscriberConfig{
		SchemaAdapter:    wsql.DefaultPostgreSQLSchema{},
		OffsetsAdapter:   wsql.DefaultPostgreSQLOffsetsAdapter{},
		InitializeSchema: true,
	}, logger)
	if err != nil {
		return fmt.Errorf("make subscriber: %w", err)
	}
	if err := subscriber.SubscribeInitialize(outboxTopic); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	p.publisher, err = kafka.NewPublisher(kafka.PublisherConfig{Brokers: t.Kafka.Brokers}, logger)
	if err != nil {
		return fmt.Errorf("make publisher: %w", err)
	}
	p.forwarder, err = forwarder.NewForwarder(subscriber, p.publisher, logger, forwarder.Config{})
	if err != nil {
		return fmt.Errorf("make forwarder: %w", err)
	}
	return nil
}

func (p *plain) Write(_ context.Context, tx *sql.Tx, msgs []Keyed) error {
	inner, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: wsql.DefaultPostgreSQLSchema{}}, nil)
	if err != nil {
		return fmt.Errorf("make publisher: %w", err)
	}
	batch := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		batch[i] = m.Message
	}
	return forwarder.NewPublisher(inner, forwarder.PublisherConfig{}).Publish(p.topic, batch...)
}

func (p *plain) Relay(ctx context.Context) error {
	err := p.forwarder.Run(ctx)
	return errors.Join(err, p.forwarder.Close())
}

func (p *plain) Close() error {
	if p.publisher == nil {
		return nil
	}
	return p.publisher.Close()
}
