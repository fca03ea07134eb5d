package contender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/forwarder"
)

// The bare loop has as many lanes and as large batches as our relay.
const (
	rawLanes  = 2
	rawBatch  = 1000
	rawShards = 32
)

// rawRow is what the loop reads.
type rawRow struct {
	id               int64
	topic, key, uuid string
	payload          []byte
	headers          map[string]string
}

// raw reads, publishes and deletes, and does nothing else: no leases, no
// retries, no attempts, no late rows. It is the limit of what a relay on this
// table can reach, and only for PostgreSQL.
type raw struct {
	place   Place
	connect func(ctx context.Context, brokerURL string) (publish func(context.Context, []rawRow) error, closePublisher func() error, err error)

	conns          []*pgx.Conn
	publish        func(context.Context, []rawRow) error
	closePublisher func() error
}

func newRawOurs(p Place) child.Task    { return &raw{place: p, connect: connectOurs} }
func newRawFastest(p Place) child.Task { return &raw{place: p, connect: connectFastest} }

func (r *raw) Open(ctx context.Context) error {
	for range rawLanes {
		conn, err := pgx.Connect(ctx, r.place.DatabaseURL)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		r.conns = append(r.conns, conn)
	}
	var err error
	r.publish, r.closePublisher, err = r.connect(ctx, r.place.BrokerURL)
	return err
}

func (r *raw) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for lane, conn := range r.conns {
		g.Go(func() error { return r.lane(gctx, conn, lane) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

const (
	rawRead = `SELECT id, topic, message_key, message_uuid, payload, headers FROM sluicegate_outbox
		WHERE id > $1 AND shard >= $2 AND shard < $3 ORDER BY id LIMIT $4`
	rawDelete = "DELETE FROM sluicegate_outbox WHERE id = ANY($1)"
)

func (r *raw) lane(ctx context.Context, conn *pgx.Conn, lane int) error {
	const each = rawShards / rawLanes
	last := int64(0)
	for ctx.Err() == nil {
		found, err := conn.Query(ctx, rawRead, last, lane*each, (lane+1)*each, rawBatch)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		rows, err := pgx.CollectRows(found, scanRaw)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if len(rows) == 0 {
			<-ctx.Done() // all there was
			return nil
		}
		if err := r.publish(ctx, rows); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		ids := make([]int64, len(rows))
		for i, row := range rows {
			ids[i] = row.id
		}
		if _, err := conn.Exec(ctx, rawDelete, ids); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		last = ids[len(ids)-1]
	}
	return nil
}

func scanRaw(row pgx.CollectableRow) (rawRow, error) {
	var r rawRow
	var headers []byte
	if err := row.Scan(&r.id, &r.topic, &r.key, &r.uuid, &r.payload, &headers); err != nil {
		return r, err
	}
	return r, json.Unmarshal(headers, &r.headers)
}

func (r *raw) Close() (any, error) {
	var errs []error
	for _, conn := range r.conns {
		errs = append(errs, conn.Close(context.Background()))
	}
	if r.closePublisher != nil {
		errs = append(errs, r.closePublisher())
	}
	return nil, errors.Join(errs...)
}

// connectOurs publishes with our driver, in batches.
func connectOurs(ctx context.Context, brokerURL string) (func(context.Context, []rawRow) error, func() error, error) {
	b, err := openBroker(ctx, brokerURL)
	if err != nil {
		return nil, nil, err
	}
	publish := func(ctx context.Context, rows []rawRow) error {
		batch := make([]broker.Outgoing, len(rows))
		for i, row := range rows {
			msg := message.NewMessage(row.uuid, row.payload)
			msg.Metadata = row.headers
			forwarder.SetKey(msg, row.key)
			batch[i] = broker.Outgoing{Topic: row.topic, Message: msg}
		}
		return errors.Join(b.PublishBatch(ctx, batch)...)
	}
	return publish, b.Close, nil
}

// connectFastest publishes with franz-go, the fastest Kafka client for Go,
// with acks=all and its idempotent producer, as ours does.
func connectFastest(ctx context.Context, brokerURL string) (func(context.Context, []rawRow) error, func() error, error) {
	client, err := newFranz(ctx, brokerURL)
	if err != nil {
		return nil, nil, err
	}
	publish := func(ctx context.Context, rows []rawRow) error {
		records := make([]*kgo.Record, len(rows))
		for i, row := range rows {
			records[i] = &kgo.Record{Topic: row.topic, Key: []byte(row.key), Value: row.payload, Headers: make([]kgo.RecordHeader, 0, len(row.headers)+1)}
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: "_watermill_message_uuid", Value: []byte(row.uuid)})
			for name, value := range row.headers {
				records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
			}
		}
		return client.ProduceSync(ctx, records...).FirstErr()
	}
	return publish, func() error { client.Close(); return nil }, nil
}

// newFranz connects franz-go: acks=all and idempotence are its defaults, and
// no linger, which would only make whoever waits for a batch wait longer.
func newFranz(ctx context.Context, brokerURL string) (*kgo.Client, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, fmt.Errorf("read URL of the broker: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(u.Host, ",")...), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return client, nil
}
