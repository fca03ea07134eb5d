package drain

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/kafka" // kafka://
	"github.com/sluicegate/sluicegate/forwarder"
)

// sluicegate is our outbox and relay, with their defaults.
type sluicegate struct {
	noHistory bool

	topic  string
	broker *broker.Broker
	outbox *forwarder.Outbox
	relay  *forwarder.Relay
}

func (s *sluicegate) Open(ctx context.Context, t Target) error {
	s.topic = t.Topic
	var err error
	if s.outbox, err = forwarder.New(t.DB, forwarder.Config{}); err != nil {
		return err
	}
	if err := s.outbox.Migrate(ctx); err != nil {
		return err
	}
	if s.broker, err = broker.Open(ctx, t.Kafka.URL, broker.Config{}); err != nil {
		return err
	}
	// Watermill's publisher connects when it is made.
	if err := s.broker.Check(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.relay, err = s.outbox.NewRelay(s.broker, forwarder.RelayConfig{NoHistory: s.noHistory})
	return err
}

func (s *sluicegate) Write(ctx context.Context, tx *sql.Tx, msgs []Keyed) error {
	batch := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		forwarder.SetKey(m.Message, m.Key)
		batch[i] = m.Message
	}
	return s.outbox.Publish(ctx, tx, s.topic, batch...)
}

func (s *sluicegate) Relay(ctx context.Context) error { return s.relay.Run(ctx) }

func (s *sluicegate) Close() error {
	if s.broker == nil {
		return nil
	}
	return s.broker.Close()
}
