package contender

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// riverArgs is the job that publishes one message: River used as an outbox, as
// its documentation suggests, with a job inserted in the caller's transaction.
type riverArgs struct {
	Topic   string            `json:"topic"`
	Key     string            `json:"key"`
	Payload []byte            `json:"payload"`
	Headers map[string]string `json:"headers"`
}

// Kind names the job.
func (riverArgs) Kind() string { return "publish" }

type riverOutbox struct {
	place  Place
	client *river.Client[pgx.Tx]
}

func newRiverOutbox(p Place) Outbox { return &riverOutbox{place: p} }

func (o *riverOutbox) Prepare(ctx context.Context, _ *sql.DB) error {
	pool, err := pgxpool.New(ctx, o.place.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return fmt.Errorf("make migrator: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	o.client, err = river.NewClient(riverpgxv5.New(nil), &river.Config{})
	return err
}

// Write inserts the jobs with COPY, in a transaction of River's own driver: it
// is filled the fastest way that it has, since filling is not measured.
func (o *riverOutbox) Write(ctx context.Context, _ *sql.Tx, msgs []workload.Keyed) error {
	params := make([]river.InsertManyParams, len(msgs))
	for i, m := range msgs {
		params[i] = river.InsertManyParams{Args: riverArgs{Topic: o.place.Topic, Key: m.Key, Payload: m.Message.Payload, Headers: m.Message.Metadata}}
	}
	conn, err := pgx.Connect(ctx, o.place.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // what was committed is committed
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := o.client.InsertManyFastTx(ctx, tx, params)
		return err
	})
}

// riverRelay works the jobs: a thousand workers that share one producer, so
// that it can batch what they publish, fetching as often as River allows.
type riverRelay struct {
	place Place

	pool   *pgxpool.Pool
	kafka  *kgo.Client
	client *river.Client[pgx.Tx]
}

func newRiverRelay(p Place) child.Task { return &riverRelay{place: p} }

const riverWorkers = 1000

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	kafka *kgo.Client
}

// Work publishes one message.
func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverArgs]) error {
	record := &kgo.Record{Topic: job.Args.Topic, Key: []byte(job.Args.Key), Value: job.Args.Payload}
	for name, value := range job.Args.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return w.kafka.ProduceSync(ctx, record).FirstErr()
}

func (r *riverRelay) Open(ctx context.Context) error {
	var err error
	if r.pool, err = pgxpool.New(ctx, r.place.DatabaseURL); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if r.kafka, err = newFranz(ctx, r.place.BrokerURL); err != nil {
		return err
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &riverWorker{kafka: r.kafka}); err != nil {
		return err
	}
	r.client, err = river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
		Workers:           workers,
		FetchCooldown:     time.Millisecond,
		FetchPollInterval: 10 * time.Millisecond,
	})
	return err
}

func (r *riverRelay) Run(ctx context.Context) error {
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return r.client.StopAndCancel(stopCtx)
}

func (r *riverRelay) Close() (any, error) {
	if r.kafka != nil {
		r.kafka.Close()
	}
	if r.pool != nil {
		r.pool.Close()
	}
	return nil, nil
}
