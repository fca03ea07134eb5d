package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var discard = slog.New(slog.DiscardHandler)

// ErrClosed is found by errors.Is in what a Broker returns after Close.
var ErrClosed = errors.New("broker is closed")

var (
	_ message.Publisher            = (*Broker)(nil)
	_ message.Subscriber           = (*Broker)(nil)
	_ message.SubscribeInitializer = (*Broker)(nil)
	_ message.SubscribeInitializer = (*Group)(nil)
	_ batch.Publisher              = (*Broker)(nil)
	_ batch.Checker                = (*Broker)(nil)
)

// Config configures a Broker. The zero value is a good default.
type Config struct {
	// ConsumerGroup is the group of Subscribe, where the URL has no
	// consumer_group. Default none: Subscribe is then an error, and Group is used.
	ConsumerGroup string
	// PublishTimeout bounds Publish, which has no context of its own.
	// Default 30 s.
	PublishTimeout time.Duration
	// CloseTimeout bounds Close. Default 10 s.
	CloseTimeout time.Duration
	// Logger receives what happens in the background (a broker that is away,
	// for one). Default nil discards it.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	var problems []error
	if c.PublishTimeout < 0 {
		problems = append(problems, errors.New("Config.PublishTimeout: must not be negative"))
	}
	if c.CloseTimeout < 0 {
		problems = append(problems, errors.New("Config.CloseTimeout: must not be negative"))
	}
	if c.PublishTimeout == 0 {
		c.PublishTimeout = 30 * time.Second
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = discard
	}
	return c, errors.Join(problems...)
}

// Broker is an open Pub/Sub. It is safe for use by many goroutines.
type Broker struct {
	driver Driver
	config Config
	caps   Capabilities
	all    *Group // every subscription belongs to it, whatever its own group

	closeOnce sync.Once
	closeErr  error
}

// Open opens the broker at rawURL. It reports what is wrong with the URL and
// config, all together, and does not wait for the broker to be reachable: one
// that is down is waited for by whoever publishes or subscribes, and Check
// tells. ctx bounds Open alone.
func Open(ctx context.Context, rawURL string, config Config) (*Broker, error) {
	config, configErr := config.withDefaults()
	t, err := resolve(rawURL)
	if err = errors.Join(configErr, err); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	if t.group != "" {
		config.ConsumerGroup = t.group
	}
	driver, err := t.open(ctx, t.url, Options{Logger: config.Logger.With("broker", t.url.Scheme)})
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	b := &Broker{driver: driver, config: config, caps: driver.Capabilities()}
	b.all = &Group{broker: b, name: config.ConsumerGroup, live: map[*subscription]struct{}{}}
	return b, nil
}

// Capabilities says what this broker, as it is configured, can do.
func (b *Broker) Capabilities() Capabilities { return b.caps }

// Check reports whether the broker can be reached right now. Its error is
// marked by failure.Unavailable.
func (b *Broker) Check(ctx context.Context) error {
	if b.all.isClosed() {
		return failure.Unavailable(ErrClosed)
	}
	if err := b.driver.Check(ctx); err != nil {
		return failure.Unavailable(fmt.Errorf("check broker: %w", err))
	}
	return nil
}

// Close ends every subscription, waits for them, and closes the connections,
// by the end of Config.CloseTimeout. What was not acked goes back to the
// broker. Later calls return the result of the first.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), b.config.CloseTimeout)
		defer cancel()
		waitErr := b.all.close(ctx)
		if err := errors.Join(waitErr, b.driver.Close(ctx)); err != nil {
			b.closeErr = fmt.Errorf("close broker: %w", err)
		}
	})
	return b.closeErr
}
