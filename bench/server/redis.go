package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Redis is a Redis server, used for its streams.
type Redis struct {
	url    string
	client *redis.Client
}

// OpenRedis connects.
func OpenRedis(ctx context.Context, rawURL string) (*Redis, error) {
	o, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, errors.New("REDIS_URL: want redis://host:port/database")
	}
	r := &Redis{url: rawURL, client: redis.NewClient(o)}
	if err := r.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to Redis: %w", err), r.Close())
	}
	return r, nil
}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Scratch returns the name of a stream that does not exist yet.
func (r *Redis) Scratch(context.Context) (*Topic, error) {
	name := Name()
	return &Topic{
		Name: name, URL: r.url,
		Held: func(ctx context.Context) (int64, error) { return r.client.XLen(ctx, name).Result() },
		Read: func(ctx context.Context, each func([]byte)) error { return r.read(ctx, name, each) },
		Drop: func(ctx context.Context) error { return r.client.Unlink(ctx, name).Err() },
	}, nil
}

const redisPage = 1000

func (r *Redis) read(ctx context.Context, stream string, each func([]byte)) error {
	from := "-"
	for {
		entries, err := r.client.XRangeN(ctx, stream, from, "+", redisPage).Result()
		if err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		for _, e := range entries {
			payload, _ := e.Values["payload"].(string) // another type is a message that nobody knows
			each([]byte(payload))
		}
		if len(entries) < redisPage {
			return nil
		}
		from = "(" + entries[len(entries)-1].ID
	}
}
