package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

// group is the consumer group of a service.
func (n *Node) group(service string) string { return n.cfg.Consumer + "-" + service }

// topology is the brokers of the settings, as this node uses them.
func (n *Node) topology() topology.Config {
	asked := n.cfg.Settings.Topology()
	t := topology.Config{Brokers: map[string]topology.Broker{}, Topics: maps.Clone(asked.Topics)}
	for name, b := range asked.Brokers {
		b.DriverOptions = maps.Clone(b.DriverOptions)
		n.nameGroups(&b)
		t.Brokers[name] = b
	}
	// A topic is configured by the name that it has without the suffix.
	plain, own := shop.Topics(""), shop.Topics(n.cfg.TopicSuffix)
	for i, to := range own.All() {
		if topic, ok := t.Topics[plain.All()[i]]; ok {
			t.Topics[to] = topic
		}
	}
	if paid, ok := t.Topics[own.Paid]; ok { // files of before there were parcels
		if _, ok := t.Topics[own.Parcels]; !ok {
			t.Topics[own.Parcels] = paid
		}
	}
	return t
}

// nameGroups names the groups to a memory broker: a message that is published
// before a service has subscribed must wait for it.
func (n *Node) nameGroups(b *topology.Broker) {
	const memory, param = "memory", "groups"
	if strings.Contains(b.URL, param+"=") || b.DriverOptions[memory][param] != "" {
		return
	}
	t := shop.Topics(n.cfg.TopicSuffix)
	var groups []string
	for _, r := range role.Consumers {
		topic := t.Paid
		if r == role.Payment {
			topic = t.Placed
		}
		groups = append(groups, topic+"/"+n.group(string(r)))
	}
	if n.cfg.Partners != nil {
		groups = append(groups, t.Parcels+"/"+n.group(shop.Parcels))
	}
	if b.DriverOptions == nil {
		b.DriverOptions = map[string]map[string]string{}
	}
	options := maps.Clone(b.DriverOptions[memory])
	if options == nil {
		options = map[string]string{}
	}
	options[param] = strings.Join(groups, ",")
	b.DriverOptions[memory] = options
}

// capabilities are those of the brokers that the shop's topics are on.
func (n *Node) capabilities() []broker.Capabilities {
	var all []broker.Capabilities
	for _, topic := range shop.Topics(n.cfg.TopicSuffix).All() {
		if c, err := n.brokers.Capabilities(topic); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// consumedAck reports whether a publish waits for the services.
func (n *Node) consumedAck() bool {
	return slices.ContainsFunc(n.capabilities(), func(c broker.Capabilities) bool { return c.ConsumedAck })
}

// oneProcess returns what a broker can do that serves one process only, and
// whether there is such a one.
func (n *Node) oneProcess() (broker.Capabilities, bool) {
	for _, c := range n.capabilities() {
		if !c.SplitProcesses {
			return c, true
		}
	}
	return broker.Capabilities{}, false
}

// store keeps idempotency records; the zero value is the sql strength.
type store struct {
	records idempotency.Store
	check   func(context.Context) error // whether it can be reached
	evicts  func(context.Context) error // ErrEviction where it may forget
	close   func() error
}

func openStore(raw string) (store, error) {
	switch {
	case raw == "":
		return store{}, nil
	case strings.HasPrefix(raw, "memory:"):
		return store{records: memorystore.New()}, nil
	}
	options, err := goredis.ParseURL(raw)
	if err != nil {
		return store{}, errors.New("open Redis: the client refuses the URL") // its own words may hold the password
	}
	client := goredis.NewClient(options)
	records, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		return store{}, errors.Join(fmt.Errorf("open Redis: %w", err), client.Close())
	}
	return store{
		records: records,
		check:   func(ctx context.Context) error { return client.Ping(ctx).Err() },
		evicts:  records.Check,
		close:   client.Close,
	}, nil
}
