package pgxtx_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/internal/dbtx"
)

// pool stands for a *pgxpool.Pool: it prints what it is asked.
type pool struct{}

func (pool) BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error) {
	fmt.Println("BEGIN")
	return tx{}, nil
}

type tx struct{ pgx.Tx }

func (tx) Exec(_ context.Context, query string, _ ...any) (pgconn.CommandTag, error) {
	words := strings.Fields(query)
	fmt.Println(strings.Join(words[:3], " "))
	return pgconn.NewCommandTag("INSERT 0 1"), nil
}

func (tx) Commit(context.Context) error {
	fmt.Println("COMMIT")
	return nil
}

// A pgx transaction writes the order and its message.
func Example() {
	ctx := context.Background()
	config, err := pgx.ParseConfig("postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	box, err := forwarder.New(stdlib.OpenDB(*config), forwarder.Config{})
	if err != nil {
		log.Fatal(err)
	}
	err = pgxtx.Runner(pool{}).InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		native, _ := pgxtx.From(ctx)
		if _, err := native.Exec(ctx, "INSERT INTO orders (id) VALUES ('order-1')"); err != nil {
			return err
		}
		return box.Publish(ctx, tx, "orders.placed", message.NewMessage("", []byte(`{"id":"order-1"}`)))
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// BEGIN
	// INSERT INTO orders
	// INSERT INTO "sluicegate_outbox"
	// COMMIT
}

// The order and its message in one round trip; pool.SendBatch(ctx, &batch) runs
// both as one transaction.
func ExampleQueue() {
	ctx := context.Background()
	config, err := pgx.ParseConfig("postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	box, err := forwarder.New(stdlib.OpenDB(*config), forwarder.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var batch pgx.Batch
	batch.Queue("INSERT INTO orders (id) VALUES ($1)", "order-1")
	if err := box.Publish(ctx, pgxtx.Queue(&batch), "orders.placed", message.NewMessage("", []byte(`{"id":"order-1"}`))); err != nil {
		log.Fatal(err)
	}
	for _, statement := range batch.QueuedQueries {
		fmt.Println(strings.Join(strings.Fields(statement.SQL)[:3], " "))
	}
	// Output:
	// INSERT INTO orders
	// INSERT INTO "sluicegate_outbox"
}
