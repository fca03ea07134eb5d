package contender

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oagudo/outbox"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// oagudoTable is the table that oagudo/outbox asks for.
const oagudoTable = `CREATE TABLE IF NOT EXISTS outbox (
	id UUID PRIMARY KEY,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	scheduled_at TIMESTAMP WITH TIME ZONE NOT NULL,
	metadata BYTEA,
	payload BYTEA NOT NULL,
	times_attempted INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_outbox_created_at ON outbox (created_at);
CREATE INDEX IF NOT EXISTS idx_outbox_scheduled_at ON outbox (scheduled_at)`

// oagudoOutbox writes with github.com/oagudo/outbox.
type oagudoOutbox struct{ writer *outbox.UnmanagedWriter }

func newOagudoOutbox(Place) Outbox { return &oagudoOutbox{} }

func (o *oagudoOutbox) Prepare(ctx context.Context, db *sql.DB) error {
	o.writer = outbox.NewWriter(outbox.NewDBContext(db, outbox.SQLDialectPostgres)).Unmanaged()
	_, err := db.ExecContext(ctx, oagudoTable)
	return err
}

func (o *oagudoOutbox) Write(ctx context.Context, tx *sql.Tx, msgs []workload.Keyed) error {
	for _, m := range msgs {
		headers, err := json.Marshal(m.Message.Metadata)
		if err != nil {
			return fmt.Errorf("encode headers: %w", err)
		}
		if err := o.writer.Store(ctx, tx, outbox.NewMessage(m.Message.Payload, outbox.WithMetadata(headers))); err != nil {
			return err
		}
	}
	return nil
}

// oagudoRelay is its reader: large batches, and the next one at once. It
// publishes one message at a time, whatever the settings.
type oagudoRelay struct {
	place Place

	db     *sql.DB
	client *kgo.Client
	reader *outbox.Reader
}

func newOagudoRelay(p Place) child.Task { return &oagudoRelay{place: p} }

func (o *oagudoRelay) Open(ctx context.Context) error {
	var err error
	if o.db, err = server.OpenURL(o.place.DatabaseKind, o.place.DatabaseURL); err != nil {
		return err
	}
	if o.client, err = newFranz(ctx, o.place.BrokerURL); err != nil {
		return err
	}
	o.reader = outbox.NewReader(outbox.NewDBContext(o.db, outbox.SQLDialectPostgres), o,
		outbox.WithInterval(5*time.Millisecond), outbox.WithReadBatchSize(1000), outbox.WithDeleteBatchSize(1000))
	return nil
}

// Publish is what the reader calls.
func (o *oagudoRelay) Publish(ctx context.Context, msg *outbox.Message) error {
	var headers map[string]string
	if err := json.Unmarshal(msg.Metadata, &headers); err != nil {
		return fmt.Errorf("decode headers: %w", err)
	}
	record := &kgo.Record{Topic: o.place.Topic, Value: msg.Payload}
	for name, value := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return o.client.ProduceSync(ctx, record).FirstErr()
}

func (o *oagudoRelay) Run(ctx context.Context) error {
	o.reader.Start()
	var last error
	for {
		select {
		case err := <-o.reader.Errors():
			last = err
			if ctx.Err() != nil {
				last = nil // cut short by the end
			}
		case <-ctx.Done():
			return errors.Join(last, o.reader.Stop(context.WithoutCancel(ctx)))
		}
	}
}

func (o *oagudoRelay) Close() (any, error) {
	if o.client != nil {
		o.client.Close()
	}
	if o.db != nil {
		return nil, o.db.Close()
	}
	return nil, nil
}
