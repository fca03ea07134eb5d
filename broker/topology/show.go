package topology

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegate/sluicegate/internal/address"
)

// The shapes in which a configuration is shown; they are what Parse reads.
type (
	shownConfig struct {
		Brokers map[string]shownBroker `yaml:"brokers"`
		Topics  map[string]shownTopic  `yaml:"topics,omitempty"`
	}
	shownBroker struct {
		URL     string                       `yaml:"url"`
		Options shownOptions                 `yaml:"options,omitempty"`
		Driver  map[string]map[string]string `yaml:"driver_options,omitempty"`
	}
	shownOptions struct {
		ConsumerGroup  string `yaml:"consumer_group,omitempty"`
		PublishTimeout string `yaml:"publish_timeout,omitempty"`
		CloseTimeout   string `yaml:"close_timeout,omitempty"`
	}
	shownTopic struct {
		Broker     string `yaml:"broker,omitempty"`
		DeadLetter string `yaml:"dead_letter,omitempty"`
	}
)

func (c Config) show() string {
	shown := shownConfig{Brokers: map[string]shownBroker{}, Topics: map[string]shownTopic{}}
	for name, b := range c.Brokers {
		shown.Brokers[name] = b.masked()
	}
	for name, t := range c.Topics {
		shown.Topics[name] = shownTopic(t)
	}
	return marshal(shown)
}

func (b Broker) masked() shownBroker {
	shown := shownBroker{URL: address.Redact(b.URL), Options: shownOptions{ConsumerGroup: b.ConsumerGroup}}
	if b.Password != "" {
		if raw, err := withPassword(b.URL, "***"); err == nil {
			shown.URL = address.Redact(raw)
		}
	}
	if b.PublishTimeout != 0 {
		shown.Options.PublishTimeout = b.PublishTimeout.String()
	}
	if b.CloseTimeout != 0 {
		shown.Options.CloseTimeout = b.CloseTimeout.String()
	}
	for scheme, params := range b.DriverOptions {
		if shown.Driver == nil {
			shown.Driver = map[string]map[string]string{}
		}
		shown.Driver[scheme] = maps.Clone(params)
		for name := range params {
			if address.SecretParam(name) {
				shown.Driver[scheme][name] = "***"
			}
		}
	}
	return shown
}

func marshal(v any) string {
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil { // maps of texts
		return "(cannot be shown)"
	}
	return b.String()
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
