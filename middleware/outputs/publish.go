package outputs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// The defaults of Publish.
const (
	DefaultMaxAttempts = 5
	DefaultInitial     = 50 * time.Millisecond
	DefaultMax         = time.Second
)

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on the handler's
// goroutine and must neither block nor panic.
type Observer = event.Observer

// PublishConfig of Publish. The zero value leaves the topics to To.
type PublishConfig struct {
	// Topic of messages that nothing else names one for. Default none.
	Topic string
	// TopicFor names the topic of a produced message; "" leaves it to Topic.
	// Default none.
	TopicFor func(*message.Message) string
	// MaxAttempts is how often publishing is tried before the message goes back
	// to the broker. Default 5.
	MaxAttempts int
	// Initial is the bound of the delay after the first failure; it doubles
	// from one to the next, with full jitter. Default 50 ms.
	Initial time.Duration
	// Max caps every delay. Default 1 s, or Initial where that is longer.
	Max time.Duration
	// Observe is told Republished after the stored outputs of an earlier
	// delivery were published. Default: nobody.
	Observe Observer
}

func (c PublishConfig) withDefaults(pub message.Publisher) (PublishConfig, error) {
	var errs []error
	if pub == nil {
		errs = append(errs, errors.New("publisher: is nil"))
	}
	if c.MaxAttempts < 0 {
		errs = append(errs, fmt.Errorf("PublishConfig.MaxAttempts: %d is negative; use 1 or more, or 0 for %d", c.MaxAttempts, DefaultMaxAttempts))
	}
	if c.Initial < 0 {
		errs = append(errs, fmt.Errorf("PublishConfig.Initial: %s is negative; use a duration, or 0 for %s", c.Initial, DefaultInitial))
	}
	if c.Max < 0 {
		errs = append(errs, fmt.Errorf("PublishConfig.Max: %s is negative; use a duration, or 0 for %s", c.Max, DefaultMax))
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.Initial == 0 {
		c.Initial = DefaultInitial
	}
	if c.Max == 0 {
		c.Max = max(DefaultMax, c.Initial)
	}
	if c.Max > 0 && c.Max < c.Initial {
		errs = append(errs, fmt.Errorf("PublishConfig.Max: %s is less than Initial, %s", c.Max, c.Initial))
	}
	return c, errors.Join(errs...)
}

// Publish returns a middleware that publishes what the inner layers return to
// pub, in one batch where pub can (as the brokers of this module do), and
// returns no messages.
//
// A failure is tried again up to MaxAttempts times within the message's
// context; then the message goes back to the broker, its error marked as the
// absence of a dependency, so that it spends no attempt. Messages of the batch
// that were acknowledged are not published again by this delivery, but may be
// by the next: consumers see an output at least once, always with the same
// UUID. A message that can never be published is a permanent error.
//
// A publisher without batches cannot be interrupted by the context. Publish is
// safe for concurrent use where pub is, and owns no goroutine.
func Publish(pub message.Publisher, cfg PublishConfig) (message.HandlerMiddleware, error) {
	cfg, err := cfg.withDefaults(pub)
	if err != nil {
		return nil, fmt.Errorf("configure outputs: %w", err)
	}
	p := publisher{
		cfg:    cfg,
		topics: topics{fixed: cfg.Topic, by: cfg.TopicFor},
		delays: backoff.Policy{Initial: cfg.Initial, Max: cfg.Max, Multiplier: 2, Jitter: true},
		once:   onceOf(pub),
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { return p.handle(msg, h) }
	}, nil
}

type publisher struct {
	cfg    PublishConfig
	topics topics
	delays backoff.Policy
	once   func(context.Context, []batch.Outgoing) ([]batch.Outgoing, error)
}

func (p publisher) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	ctx := msg.Context() // an inner layer may leave another one behind
	produced, err := h(msg)
	if err != nil || len(produced) == 0 {
		return nil, err
	}
	msg.SetContext(ctx)
	out, err := p.topics.prepare(msg, d, produced)
	if err != nil {
		return nil, err
	}
	if err := p.publish(ctx, out); err != nil {
		return nil, err
	}
	if d.Replayed() {
		p.cfg.Observe.Emit(event.Event{
			Kind: event.Republished, Handler: d.Scope(), Topic: d.Topic, Key: d.Key(), MessageID: msg.UUID,
		})
	}
	return nil, nil
}

func (p publisher) publish(ctx context.Context, out []batch.Outgoing) error {
	for n := 1; ; n++ {
		rest, err := p.once(ctx, out)
		switch {
		case err == nil:
			return nil
		case failure.IsPermanent(err):
			return fmt.Errorf("publish outputs: %w", err)
		case n >= p.cfg.MaxAttempts:
			return failure.Unavailable(fmt.Errorf("publish outputs, %d attempts: %w", n, err))
		}
		if cause := backoff.Wait(ctx, p.delays.Delay(n)); cause != nil {
			return failure.Unavailable(fmt.Errorf("publish outputs, interrupted after %d attempts: %w: %w", n, cause, err))
		}
		out = rest
	}
}

// onceOf returns a function that offers messages once, and returns those whose
// fate is not known to be good, in their order.
func onceOf(pub message.Publisher) func(context.Context, []batch.Outgoing) ([]batch.Outgoing, error) {
	if b, ok := pub.(batch.Publisher); ok {
		return func(ctx context.Context, out []batch.Outgoing) ([]batch.Outgoing, error) {
			return failed(out, b.PublishBatch(ctx, out))
		}
	}
	return func(_ context.Context, out []batch.Outgoing) ([]batch.Outgoing, error) {
		for len(out) > 0 {
			n := run(out)
			if err := pub.Publish(out[0].Topic, messages(out[:n])...); err != nil {
				return out, err
			}
			out = out[n:]
		}
		return nil, nil
	}
}

// failed returns the messages whose result is an error. Its error is permanent
// only where every one of theirs is: the rest can still be published first.
func failed(out []batch.Outgoing, results []error) ([]batch.Outgoing, error) {
	var rest []batch.Outgoing
	var first, permanent error
	for i, err := range results {
		switch {
		case err == nil:
			continue
		case failure.IsPermanent(err):
			permanent = err
		case first == nil:
			first = err
		}
		rest = append(rest, out[i])
	}
	if first != nil {
		return rest, first
	}
	return rest, permanent
}
