package topology

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/address"
)

// Describe says in words what each broker guarantees, what it does by itself
// and what not, and where each topic goes. It holds no secret. The words are
// for people and may change.
func (t *Topology) Describe() string {
	var b strings.Builder
	for _, name := range sorted(t.brokers) {
		c := t.brokers[name].Capabilities()
		fmt.Fprintf(&b, "broker %s (%s, %s)\n", name, c.Driver, address.Redact(t.config.Brokers[name].URL))
		for _, line := range describe(c) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	for _, topic := range sorted(t.config.Topics) {
		name, err := t.config.route(topic)
		if err != nil {
			continue // refused by Open
		}
		fmt.Fprintf(&b, "topic %s: on %s, %s", topic, name, summary(t.brokers[name].Capabilities()))
		if dead := t.DeadLetter(topic); dead != "" {
			fmt.Fprintf(&b, "; dead letters to %s", dead)
			if other, err := t.config.route(dead); err == nil && other != name {
				fmt.Fprintf(&b, " on %s", other)
			}
		}
		b.WriteByte('\n')
	}
	if rest, err := t.config.route(""); err == nil {
		fmt.Fprintf(&b, "other topics: on %s, %s\n", rest, summary(t.brokers[rest].Capabilities()))
	} else {
		b.WriteString("other topics: nowhere, they cannot be published\n")
	}
	return b.String()
}

// summary is what matters most to who writes a handler.
func summary(c broker.Capabilities) string {
	order := "no order"
	if c.Order == broker.OrderByKey {
		order = "in order by key"
	}
	if c.RedeliveryHorizon > 0 {
		return fmt.Sprintf("%s, a copy may come within %s", order, length(c.RedeliveryHorizon))
	}
	return order + ", no copy outlives the process"
}

// describe lists what a broker does, and who does what it does not.
func describe(c broker.Capabilities) []string {
	lines := []string{"guarantee: " + c.Guarantee}
	say := func(what string, yes bool, does, doesNot string) {
		if yes {
			lines = append(lines, what+": "+does)
		} else {
			lines = append(lines, what+": "+doesNot)
		}
	}
	say("order", c.Order == broker.OrderByKey, "first deliveries keep the order of their key", "none; a handler must not count on it")
	say("a slow key", c.KeyConcurrency, "holds back no other key", "holds back others")
	say("groups", c.Groups, "every consumer group gets every message", "one group a topic: a second one would share its messages")
	say("a new group", c.OldMessages, "begins with the oldest message that the broker holds", "gets what is published from then on")
	say("persistence", c.Persistent, "what was acknowledged survives the process", "none; what was not handled stays with its sender, such as the outbox")
	say("processes", c.SplitProcesses, "publishers and subscribers may be different processes", "all in one process")
	say("acknowledged", !c.ConsumedAck, "when the broker has stored it", "when the consumer groups have handled it")
	say("delayed messages", c.Delay, "by the broker", "not by the broker")
	say("lag", c.Lag, "can be read from the broker", "cannot be read from the broker")
	if c.MaxMessageBytes > 0 {
		lines = append(lines, fmt.Sprintf("largest message: %d bytes", c.MaxMessageBytes))
	}
	return lines
}

// length writes whole days as such.
func length(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
