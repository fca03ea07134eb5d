package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS is a NATS server with JetStream.
type NATS struct {
	url  string
	conn *nats.Conn
	js   jetstream.JetStream
}

// OpenNATS connects.
func OpenNATS(rawURL string) (*NATS, error) {
	conn, err := nats.Connect(rawURL)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &NATS{url: rawURL, conn: conn, js: js}, nil
}

// Close closes the connection.
func (n *NATS) Close() error {
	n.conn.Close()
	return nil
}

// Scratch makes an empty stream in files, as our driver would.
func (n *NATS) Scratch(ctx context.Context) (*Topic, error) {
	name := Name()
	stream, err := n.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage, MaxAge: 7 * 24 * time.Hour, AllowAtomicPublish: true,
	})
	if err != nil {
		return nil, fmt.Errorf("create stream: %w", err)
	}
	held := func(ctx context.Context) (int64, error) {
		info, err := stream.Info(ctx)
		if err != nil {
			return 0, err
		}
		return int64(info.State.Msgs), nil //nolint:gosec // no stream has more
	}
	return &Topic{
		Name: name, URL: n.url, Held: held,
		Read: func(ctx context.Context, each func([]byte)) error {
			end, err := held(ctx)
			if err != nil {
				return err
			}
			return readStream(ctx, stream, end, each)
		},
		Drop: func(ctx context.Context) error { return n.js.DeleteStream(ctx, name) },
	}, nil
}

func readStream(ctx context.Context, stream jetstream.Stream, n int64, each func([]byte)) error {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for range n {
		m, err := messages.Next()
		if err != nil {
			return errors.Join(fmt.Errorf("read stream: %w", err), ctx.Err())
		}
		each(m.Data())
	}
	return nil
}
