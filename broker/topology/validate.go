package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/suggest"
)

// defaultName is the broker of topics that name none.
const defaultName = "default"

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Validate checks everything that can be checked before connecting: names,
// references, and each URL with its driver's own rules. All problems are
// reported together, each with the path of its key, and none holds a secret.
func (c Config) Validate() error {
	if problems := c.problems(); len(problems) > 0 {
		return fmt.Errorf("broker configuration: %w", errors.Join(problems...))
	}
	return nil
}

// at begins a problem with where it is.
func (c Config) at(path string, err error) error {
	if line := c.lines[path]; line > 0 {
		return fmt.Errorf("line %d: %s: %w", line, path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (c Config) problems() []error {
	var problems []error
	if len(c.Brokers) == 0 && !c.broken["brokers"] {
		problems = append(problems, errors.New("brokers: is missing: name at least one, with its url"))
	}
	for _, name := range sorted(c.Brokers) {
		path := "brokers." + name
		for _, err := range c.brokerProblems(name) {
			problems = append(problems, c.at(path, err))
		}
	}
	for _, name := range sorted(c.Topics) {
		path := "topics." + name
		for _, err := range c.topicProblems(name) {
			problems = append(problems, c.at(path, err))
		}
	}
	return problems
}

func (c Config) brokerProblems(name string) []error {
	var problems []error
	b := c.Brokers[name]
	if !nameRule.MatchString(name) {
		problems = append(problems, errors.New("the name of a broker has letters, digits, dots, _ and - only"))
	}
	if b.PublishTimeout < 0 {
		problems = append(problems, errors.New("options.publish_timeout: must not be negative"))
	}
	if b.CloseTimeout < 0 {
		problems = append(problems, errors.New("options.close_timeout: must not be negative"))
	}
	if c.broken["brokers."+name] {
		return problems
	}
	raw, more := b.resolve()
	problems = append(problems, more...)
	if raw == "" {
		return problems
	}
	if err := broker.Validate(raw); err != nil {
		for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), "broker URL: "), "\n") {
			problems = append(problems, fmt.Errorf("url: %s", line))
		}
	}
	return problems
}

func (c Config) topicProblems(name string) []error {
	var problems []error
	t := c.Topics[name]
	if strings.TrimSpace(name) == "" {
		problems = append(problems, errors.New("the name of a topic is empty"))
	}
	if _, err := c.route(name); err != nil && len(c.Brokers) > 0 {
		problems = append(problems, err)
	}
	if t.DeadLetter == "" {
		return problems
	}
	if _, err := c.route(t.DeadLetter); err != nil && len(c.Brokers) > 0 && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("dead_letter: %w", err))
	}
	for next, seen := t.DeadLetter, []string{name}; next != ""; next = c.Topics[next].DeadLetter {
		if next == name {
			problems = append(problems, errors.New("dead_letter: leads back to the topic itself: what cannot be handled would go round for ever"))
			break
		}
		if slices.Contains(seen, next) {
			break // a round that begins later, and is told there
		}
		seen = append(seen, next)
	}
	return problems
}

// route returns the name of the broker of a topic.
func (c Config) route(topic string) (string, error) {
	t, listed := c.Topics[topic]
	if !listed {
		from, err := c.source(topic)
		if err != nil {
			return "", err
		}
		t = c.Topics[from]
	}
	name := t.Broker
	switch {
	case name != "":
		if _, ok := c.Brokers[name]; !ok {
			return "", fmt.Errorf("broker: there is none with the name %q: %s", name, suggest.Hint(name, sorted(c.Brokers)...))
		}
	case len(c.Brokers) == 1:
		name = sorted(c.Brokers)[0]
	default:
		if name = defaultName; !has(c.Brokers, name) {
			return "", fmt.Errorf("topic %q has no broker: list it under topics, or name a broker %q", topic, defaultName)
		}
	}
	return name, nil
}

// source returns the topic whose dead letters go to topic, which is not listed
// itself, or "".
func (c Config) source(topic string) (string, error) {
	source := ""
	if topic == "" {
		return "", nil
	}
	for _, name := range sorted(c.Topics) {
		if c.Topics[name].DeadLetter != topic {
			continue
		}
		if source != "" && c.Topics[source].Broker != c.Topics[name].Broker {
			return "", fmt.Errorf("topic %q takes the dead letters of %q and %q, which are on different brokers: list it under topics with its broker", topic, source, name)
		}
		source = name
	}
	return source, nil
}

func has[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}
