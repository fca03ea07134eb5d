package idempotency_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// A handler that fails once runs again; once it has succeeded, it does not, and
// a duplicate returns the same outputs.
func ExampleNew() {
	once, err := idempotency.New(memorystore.New(), idempotency.Config{Handler: "stock"})
	if err != nil {
		fmt.Println(err)
		return
	}
	attempts := 0
	handler := once(func(msg *message.Message) ([]*message.Message, error) {
		attempts++
		if attempts == 1 {
			return nil, fmt.Errorf("attempt %d: warehouse closed", attempts)
		}
		return []*message.Message{message.NewMessage("taken-1", msg.Payload)}, nil
	})

	for range 3 { // as a broker would
		outputs, err := handler(message.NewMessage("order-1", message.Payload("2 lamps")))
		fmt.Println(len(outputs), "output,", "error:", err)
	}
	fmt.Println("attempts:", attempts)
	// Output:
	// 0 output, error: attempt 1: warehouse closed
	// 1 output, error: <nil>
	// 1 output, error: <nil>
	// attempts: 2
}

// What a handler writes through the transaction in its context commits with the
// record of the message. An attempt that fails after its write leaves nothing.
func ExampleTransaction() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := openSQLite(filepath.Join(dir, "shop.db")) // with Sluicegate's tables
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	if _, err := db.ExecContext(ctx, "CREATE TABLE taken (order_id TEXT)"); err != nil {
		fmt.Println(err)
		return
	}

	store, err := sqlstore.New(db, sqlstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	once, err := idempotency.Transaction(idempotency.DB(db, nil), store, idempotency.TxConfig{Handler: "stock"})
	if err != nil {
		fmt.Println(err)
		return
	}
	attempts := 0
	handler := once(func(msg *message.Message) ([]*message.Message, error) {
		tx, _ := idempotency.Native[*sql.Tx](msg.Context())
		if _, err := tx.ExecContext(msg.Context(), "INSERT INTO taken VALUES (?)", msg.UUID); err != nil {
			return nil, err
		}
		if attempts++; attempts == 1 {
			return nil, fmt.Errorf("the label printer jammed")
		}
		return nil, nil
	})

	for range 3 {
		_, err := handler(message.NewMessage("order-1", nil))
		fmt.Println("error:", err)
	}
	var taken int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM taken").Scan(&taken); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("attempts:", attempts, "taken:", taken)
	// Output:
	// error: the label printer jammed
	// error: <nil>
	// error: <nil>
	// attempts: 2 taken: 1
}
