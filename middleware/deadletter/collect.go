package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/header"
)

// CollectConfig of Collect. The zero value is ready to use.
type CollectConfig struct {
	// Consumer and Handler are those of a letter that does not name them.
	// Without a handler a letter is kept, and cannot be redriven. Default none.
	Consumer, Handler string
	// Logger hears of letters that could not be stored, without their contents.
	// Default: discards.
	Logger *slog.Logger
}

// Collect takes the letters of a dead-letter topic into the table, where they
// can be grouped, redriven and removed like others, until ctx ends or the
// subscriber closes. The topic may be one that Topic has written, or Watermill's
// PoisonQueue: what they said beside the message goes to the letter's fields, and
// all other metadata stays with the message, as it was received.
//
// A message is acked after its letter is stored. Where that fails it is nacked,
// after a pause that grows to 30 s, and the broker delivers it again; a letter
// that comes again is not stored again. So it may run in several processes.
func (s *SQLStore) Collect(ctx context.Context, sub message.Subscriber, topic string, cfg CollectConfig) error {
	if sub == nil || topic == "" {
		return fmt.Errorf("collect dead letters: %w: subscriber, topic: both are needed", ErrInvalid)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	messages, err := sub.Subscribe(ctx, topic)
	if err != nil {
		return fmt.Errorf("collect dead letters: subscribe: %w", err)
	}
	pause := backoff.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: true}
	failures := 0
	for msg := range messages {
		if _, err := s.addAll(ctx, []Letter{letterOf(msg, cfg)}); err != nil {
			failures++
			if ctx.Err() == nil {
				cfg.Logger.WarnContext(ctx, "dead letter could not be stored; it comes again", "topic", topic, "error", err)
			}
			_ = backoff.Wait(ctx, pause.Delay(failures)) // the nack must follow, whatever ends the wait
			msg.Nack()
			continue
		}
		failures = 0
		msg.Ack()
	}
	return nil
}

// letterOf returns the letter that a message of a dead-letter topic is.
func letterOf(msg *message.Message, cfg CollectConfig) Letter {
	m := delivery.Copy(msg)
	rest := message.Metadata(maps.Clone(map[string]string(m.Metadata)))
	take := func(name string) string {
		v := rest.Get(name)
		delete(rest, name)
		return v
	}
	l := Letter{
		Status: Dead, Message: m, Reason: take(MetadataReason), Topic: take(MetadataTopic), Handler: take(MetadataHandler),
		Subscriber: take(MetadataSubscriber), Consumer: take(MetadataConsumer), Key: take(MetadataKey),
	}
	if l.Handler == "" {
		l.Consumer, l.Handler = cfg.Consumer, cfg.Handler
	}
	if l.Key == "" {
		l.Key = m.Metadata.Get(header.IdempotencyKey)
	}
	// What cannot be read stays where it was.
	if at, err := time.Parse(time.RFC3339Nano, rest.Get(MetadataAt)); err == nil && inEra(at) {
		l.At = at
		delete(rest, MetadataAt)
	}
	if text := rest.Get(MetadataAttempts); text != "" {
		if err := json.Unmarshal([]byte(text), &l.Attempts); err == nil && !slices.ContainsFunc(l.Attempts, outOfRange) {
			delete(rest, MetadataAttempts)
		} else {
			l.Attempts = nil
		}
	}
	m.Metadata = rest
	l.Ref = contentRef(l) // without a time that it does not say, it would be another each time
	if l.At.IsZero() {
		l.At = time.Now()
	}
	return l
}
