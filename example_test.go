package sluicegate_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/middleware/recovery"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// An order is handled once, though the broker delivers it twice.
func Example() {
	dir, err := os.MkdirTemp("", "sluicegate")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // SQLite: one shared write connection

	ctx, cancel := context.WithCancel(context.Background())
	check(sluicegate.Migrate(ctx, db, sluicegate.Config{}))
	_, err = db.ExecContext(ctx, "CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER); INSERT INTO stock VALUES ('tea', 10)")
	check(err)

	memory, err := broker.Open(ctx, "memory://example", broker.Config{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	stack, err := sluicegate.New(db, sluicegate.Config{Consumer: "shop"})
	check(err)
	check(stack.Handle(router, "stock", "orders.placed", memory.Group("stock"),
		func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			_, err := tx.ExecContext(ctx, "UPDATE stock SET quantity = quantity - 1 WHERE sku = ?", string(msg.Payload))
			return err
		}))
	stopped := make(chan error, 1)
	go func() { stopped <- stack.Run(ctx, router) }()
	<-router.Running()

	for range 2 {
		check(memory.Publish("orders.placed", message.NewMessage("order-1", []byte("tea"))))
	}
	var left int
	check(db.QueryRowContext(ctx, "SELECT quantity FROM stock").Scan(&left))
	fmt.Println("tea left:", left)

	cancel()
	check(<-stopped)
	check(memory.Close())
	// Output:
	// tea left: 9
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Single middlewares can be composed by hand; an order that would break a
// promise is refused.
func ExampleCompose() {
	attempts, err := retry.New(retry.Config{})
	check(err)
	panics, err := recovery.New(recovery.Config{})
	check(err)

	_, err = sluicegate.Compose(sluicegate.SQL,
		sluicegate.Layer{Kind: sluicegate.KindRecovery, Middleware: panics},
		sluicegate.Layer{Kind: sluicegate.KindRetry, Middleware: attempts})
	fmt.Println(err)
	// Output:
	// wrong order of middlewares: layer 2: "retry" must stand outside "recovery"
}
