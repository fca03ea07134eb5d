package sluicegate_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
)

// Many orders share a transaction and a statement; one that cannot be handled
// is set aside and harms no other.
func ExampleStack_HandleBatch() {
	dir, err := os.MkdirTemp("", "sluicegate")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // SQLite: one shared write connection

	ctx, cancel := context.WithCancel(context.Background())
	check(sluicegate.Migrate(ctx, db, sluicegate.Config{}))
	_, err = db.ExecContext(ctx, "CREATE TABLE points (customer TEXT NOT NULL CHECK (customer <> ''))")
	check(err)
	memory, err := broker.Open(ctx, "memory://batch-example", broker.Config{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	stack, err := sluicegate.New(db, sluicegate.Config{Retry: quick(), Park: sluicegate.ParkConfig{Off: true}})
	check(err)
	check(stack.HandleBatch(router, "points", "orders.paid", memory.Group("points"),
		func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
			rows, args := strings.Repeat(", (?)", len(msgs))[2:], make([]any, len(msgs))
			for i, msg := range msgs {
				args[i] = string(msg.Payload)
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO points (customer) VALUES "+rows, args...)
			return err
		}, sluicegate.BatchConfig{}))
	stopped := make(chan error, 1)
	go func() { stopped <- stack.Run(ctx, router) }()
	<-router.Running()

	var wg sync.WaitGroup
	for i, customer := range []string{"ada", "", "bob", "eve", "ada"} {
		wg.Go(func() {
			check(memory.Publish("orders.paid", message.NewMessage(fmt.Sprint("order-", i), []byte(customer))))
		})
	}
	wg.Wait()
	var points, letters int
	check(db.QueryRowContext(ctx, "SELECT COUNT(*) FROM points").Scan(&points))
	check(db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sluicegate_dead_letter").Scan(&letters))
	fmt.Println(points, "points,", letters, "dead letter")

	cancel()
	check(<-stopped)
	check(memory.Close())
	// Output:
	// 4 points, 1 dead letter
}
