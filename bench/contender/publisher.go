package contender

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	watermillnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

// plainPublisher returns Watermill's own publisher for a broker with its own
// defaults; for RabbitMQ with confirms, which are off by default, because
// without them nothing is known to have arrived.
func plainPublisher(ctx context.Context, p Place) (message.Publisher, error) {
	u, err := url.Parse(p.BrokerURL)
	if err != nil {
		return nil, fmt.Errorf("read URL of the broker: %w", err)
	}
	logger := watermill.NopLogger{}
	switch u.Scheme {
	case "kafka":
		return kafka.NewPublisher(kafka.PublisherConfig{Brokers: strings.Split(u.Host, ",")}, logger)
	case "redis", "rediss":
		o, err := redis.ParseURL(p.BrokerURL)
		if err != nil {
			return nil, err
		}
		client := redis.NewClient(o)
		if err := client.Ping(ctx).Err(); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, logger)
	case "nats":
		// The stream exists already.
		return watermillnats.NewPublisher(watermillnats.PublisherConfig{URL: p.BrokerURL}, logger)
	case "amqp", "amqps":
		config := amqp.NewDurablePubSubConfig(p.BrokerURL, nil)
		config.Publish.ConfirmDelivery = true
		return amqp.NewPublisher(config, logger)
	default:
		return nil, fmt.Errorf("no plain publisher for %s://", u.Scheme)
	}
}
