package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/latency"
	"github.com/sluicegate/sluicegate/bench/workload"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory" // memory://
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/database"
)

const (
	topic = "orders.placed"
	group = "bench"
	chunk = 1000 // messages that one transaction writes
)

// task is the child's side.
type task struct {
	spec    spec
	outcome outcome

	db     *sql.DB
	outbox *forwarder.Outbox
	broker *broker.Broker
	relay  *forwarder.Relay
	audit  *workload.Audit
}

// New is the child's job.
func New(data json.RawMessage) (child.Task, error) {
	t := &task{}
	return t, json.Unmarshal(data, &t.spec)
}

func (t *task) Open(ctx context.Context) error {
	var err error
	if t.db, err = database.Open(database.SQLiteURL(filepath.Join(t.spec.Dir, "bench.db"))); err != nil {
		return err
	}
	if _, err := t.db.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, amount INTEGER NOT NULL)"); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	if t.outbox, err = forwarder.New(t.db, forwarder.Config{}); err != nil {
		return err
	}
	if err := t.outbox.Migrate(ctx); err != nil {
		return err
	}
	if t.broker, err = broker.Open(ctx, "memory://", broker.Config{}); err != nil {
		return err
	}
	if t.relay, err = t.outbox.NewRelay(t.broker, forwarder.RelayConfig{NoHistory: t.spec.NoHistory}); err != nil {
		return err
	}
	t.audit = workload.NewAudit(t.spec.Messages)
	for first := 0; first < t.spec.Messages; first += chunk {
		if err := t.fill(ctx, first, min(first+chunk, t.spec.Messages)); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

func (t *task) fill(ctx context.Context, first, end int) error {
	var msgs []*message.Message
	for seq := first; seq < end; seq++ {
		m, err := workload.New(seq, t.spec.Payload)
		if err != nil {
			return err
		}
		forwarder.SetKey(m.Message, m.Key)
		msgs = append(msgs, m.Message)
	}
	return t.inTx(ctx, func(tx *sql.Tx) error { return t.outbox.Publish(ctx, tx, topic, msgs...) })
}

func (t *task) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Run ends by itself when all messages have arrived.
func (t *task) Run(ctx context.Context) error {
	arrived, err := t.broker.Group(group).Subscribe(ctx, topic)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := time.Now()
	var times latency.Times
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.relay.Run(gctx) })
	g.Go(func() error {
		defer stop()
		for n := 0; n < t.spec.Messages; {
			select {
			case m := <-arrived:
				if m.Metadata.Get(orderMark) == "" {
					t.audit.Add(m.Payload)
					n++
				}
				m.Ack()
			case <-gctx.Done():
				return fmt.Errorf("%d of %d messages had arrived", n, t.spec.Messages)
			}
		}
		t.outcome.DrainSeconds = time.Since(start).Seconds()
		return nil
	})
	if t.spec.Orders {
		for range writers {
			g.Go(func() error { return t.place(gctx, &times) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t.outcome.Orders = times.Len()
	t.outcome.OrderP50, t.outcome.OrderP99 = times.Percentile(50), times.Percentile(99)
	return t.audit.Verdict(true)
}

// orderMark tells the messages of the orders from those that are drained.
const orderMark = "bench_order"

// place places an order every now and then, until ctx ends.
func (t *task) place(ctx context.Context, times *latency.Times) error {
	tick := time.NewTicker(orderEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		start := time.Now()
		err := t.inTx(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO orders (customer, amount) VALUES (?, ?)", "customer-7", 4200); err != nil {
				return fmt.Errorf("write order: %w", err)
			}
			msg := message.NewMessage("", []byte(`{"order":7}`))
			msg.Metadata.Set(orderMark, "1")
			return t.outbox.Publish(ctx, tx, topic, msg)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		t.outbox.Wake()
		times.Add(time.Since(start))
	}
}

func (t *task) Close() (any, error) {
	var errs []error
	if t.broker != nil {
		errs = append(errs, t.broker.Close())
	}
	if t.db != nil {
		errs = append(errs, t.db.Close())
	}
	return t.outcome, errors.Join(errs...)
}
