package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/sluicegate/sluicegate/broker"
)

// Topology holds open brokers and knows which topic is on which. It is safe for
// use by many goroutines.
type Topology struct {
	config  Config
	brokers map[string]*broker.Broker
	groups  map[string]string // the consumer group of those who name none, by broker

	closeOnce sync.Once
	closeErr  error
}

// Open opens each broker of config once. What a broker's own configuration does
// not say is taken from defaults. It reports what is wrong with config, all
// together, and like broker.Open it does not wait for brokers to be reachable:
// Check tells. ctx bounds Open alone.
func Open(ctx context.Context, config Config, defaults broker.Config) (*Topology, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	t := &Topology{config: config, brokers: map[string]*broker.Broker{}, groups: map[string]string{}}
	var errs []error
	for _, name := range sorted(config.Brokers) {
		b := config.Brokers[name]
		raw, _ := b.resolve() // its problems are Validate's
		c := b.merge(name, defaults)
		open, err := broker.Open(ctx, raw, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		t.brokers[name], t.groups[name] = open, cmp.Or(groupOf(raw), c.ConsumerGroup)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, t.Close())...)
	}
	return t, nil
}

// merge lays what a broker says about itself over the defaults.
func (b Broker) merge(name string, c broker.Config) broker.Config {
	if b.ConsumerGroup != "" {
		c.ConsumerGroup = b.ConsumerGroup
	}
	if b.PublishTimeout != 0 {
		c.PublishTimeout = b.PublishTimeout
	}
	if b.CloseTimeout != 0 {
		c.CloseTimeout = b.CloseTimeout
	}
	if c.Logger != nil {
		c.Logger = c.Logger.With(slog.String("broker_name", name))
	}
	return c
}

// groupOf returns the consumer group in a URL, which wins over the options.
func groupOf(raw string) string {
	_, query, _ := strings.Cut(raw, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "" // no driver opens such a URL
	}
	return values.Get("consumer_group")
}

// Broker returns the broker with this name, and whether there is one. It is
// closed by Topology.Close.
func (t *Topology) Broker(name string) (*broker.Broker, bool) {
	b, ok := t.brokers[name]
	return b, ok
}

// For returns the broker of topic.
func (t *Topology) For(topic string) (*broker.Broker, error) {
	name, err := t.config.route(topic)
	if err != nil {
		return nil, err
	}
	return t.brokers[name], nil
}

// Capabilities says what the broker of topic can do.
func (t *Topology) Capabilities(topic string) (broker.Capabilities, error) {
	b, err := t.For(topic)
	if err != nil {
		return broker.Capabilities{}, err
	}
	return b.Capabilities(), nil
}

// DeadLetter returns the topic for messages of topic that could not be handled,
// or "" where none was configured.
func (t *Topology) DeadLetter(topic string) string { return t.config.Topics[topic].DeadLetter }

// Check reports which brokers cannot be reached right now. All are asked at
// once. The error names each and is marked by failure.Unavailable.
func (t *Topology) Check(ctx context.Context) error {
	names := sorted(t.brokers)
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			if err := t.brokers[name].Check(ctx); err != nil {
				errs[i] = fmt.Errorf("broker %s: %w", name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Close closes all brokers at once, each within its close timeout. Later calls
// return the result of the first.
func (t *Topology) Close() error {
	t.closeOnce.Do(func() {
		names := sorted(t.brokers)
		errs := make([]error, len(names))
		var all sync.WaitGroup
		for i, name := range names {
			all.Go(func() {
				if err := t.brokers[name].Close(); err != nil {
					errs[i] = fmt.Errorf("%s: %w", name, err)
				}
			})
		}
		all.Wait()
		t.closeErr = errors.Join(errs...)
	})
	return t.closeErr
}
