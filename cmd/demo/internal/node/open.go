package node

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

// group is the consumer group of a service.
func (n *Node) group(service string) string { return n.cfg.Consumer + "-" + service }

// brokerURL names the groups to a memory broker: a message that is published
// before a service has subscribed must wait for it.
func (n *Node) brokerURL() string {
	raw := n.cfg.Settings.Broker
	if !strings.HasPrefix(strings.ToLower(raw), "memory:") || strings.Contains(raw, "groups=") {
		return raw
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
	separator := "?"
	if strings.Contains(raw, "?") {
		separator = "&"
	}
	return raw + separator + "groups=" + url.QueryEscape(strings.Join(groups, ","))
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
