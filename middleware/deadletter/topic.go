package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/header"
)

// The metadata that a letter's message carries besides what was received. The
// first four are those of Watermill's PoisonQueue, repeated here because its
// package compiles what the rest of it needs. What was received under these
// names is overwritten.
const (
	MetadataReason     = "reason_poisoned"
	MetadataTopic      = "topic_poisoned"
	MetadataHandler    = "handler_poisoned"
	MetadataSubscriber = "subscriber_poisoned"
	MetadataConsumer   = header.DeadConsumer
	MetadataKey        = header.DeadKey
	MetadataAt         = header.DeadAt       // RFC 3339 with nanoseconds, UTC
	MetadataAttempts   = header.DeadAttempts // JSON, an array of Attempt; at most the last 10
)

// maxListed bounds the metadata: brokers limit headers more than payloads.
const maxListed = 10

// ErrSameTopic says that the dead letters of a topic would go to that topic:
// a message that fails there would go round for ever.
var ErrSameTopic = errors.New("the dead-letter topic is the source topic")

// TopicConfig of Topic. Exactly one of its fields must be set.
type TopicConfig struct {
	// Name is the topic of all letters.
	Name string
	// For names the topic of the letters of a source topic.
	For func(source string) string
}

// TopicStore publishes letters to a topic.
type TopicStore struct {
	pub message.Publisher
	cfg TopicConfig
}

// Topic returns a store on pub: UUID, payload and metadata as received, so that
// the message can be published again, and the reason in further metadata. It is
// as durable and as safe for concurrent use as pub; a publisher that cannot
// publish batches is not interrupted by the context.
func Topic(pub message.Publisher, cfg TopicConfig) (*TopicStore, error) {
	var errs []error
	if pub == nil {
		errs = append(errs, errors.New("publisher: is nil"))
	}
	if (cfg.Name == "") == (cfg.For == nil) {
		errs = append(errs, errors.New("TopicConfig.Name, TopicConfig.For: set exactly one of them"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure dead-letter topic: %w", err)
	}
	return &TopicStore{pub: pub, cfg: cfg}, nil
}

// TopicFor returns the topic of the letters of source, or an error that wraps
// ErrSameTopic. It can be asked at start, before a message has failed.
func (s *TopicStore) TopicFor(source string) (string, error) {
	topic := s.cfg.Name
	if s.cfg.For != nil {
		topic = s.cfg.For(source)
	}
	switch topic {
	case "":
		return "", fmt.Errorf("no dead-letter topic for %q: TopicConfig.For returned none", source)
	case source:
		return "", fmt.Errorf("%w: %q", ErrSameTopic, source)
	}
	return topic, nil
}

// Put publishes l and returns after the publisher has.
func (s *TopicStore) Put(ctx context.Context, l Letter) error {
	topic, err := s.TopicFor(l.Topic)
	if err != nil {
		return err
	}
	attempts, err := json.Marshal(l.Attempts[max(0, len(l.Attempts)-maxListed):])
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	out := delivery.Copy(l.Message)
	if out.Metadata == nil {
		out.Metadata = message.Metadata{}
	}
	for key, value := range map[string]string{
		MetadataReason: l.Reason, MetadataTopic: l.Topic, MetadataHandler: l.Handler,
		MetadataSubscriber: l.Subscriber, MetadataConsumer: l.Consumer, MetadataKey: l.Key,
		MetadataAt: l.At.UTC().Format(time.RFC3339Nano), MetadataAttempts: string(attempts),
	} {
		out.Metadata.Set(key, value)
	}
	out.SetContext(ctx)
	if err := s.publish(ctx, topic, out); err != nil {
		return fmt.Errorf("publish to the dead-letter topic: %w", err)
	}
	return nil
}

func (s *TopicStore) publish(ctx context.Context, topic string, msg *message.Message) error {
	b, ok := s.pub.(batch.Publisher)
	if !ok {
		return s.pub.Publish(topic, msg)
	}
	return errors.Join(b.PublishBatch(ctx, []batch.Outgoing{{Topic: topic, Message: msg}})...)
}
