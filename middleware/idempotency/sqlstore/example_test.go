package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// The store also serves idempotency.New, for handlers whose effects are not in
// the database.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	if _, err := schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}); err != nil { // or: sluicegate migrate
		fmt.Println(err)
		return
	}

	store, err := sqlstore.New(db, sqlstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	once, err := idempotency.New(store, idempotency.Config{Handler: "greeter"})
	if err != nil {
		fmt.Println(err)
		return
	}
	greet := once(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("hello,", string(msg.Payload))
		return nil, nil
	})
	for range 2 {
		if _, err := greet(message.NewMessage("1", message.Payload("world"))); err != nil {
			fmt.Println(err)
		}
	}
	var status string
	if err := db.QueryRowContext(ctx, "SELECT status FROM sluicegate_inbox WHERE handler = 'greeter'").Scan(&status); err != nil {
		fmt.Println(err)
	}
	fmt.Println("inbox:", status)
	// Output:
	// hello, world
	// inbox: done
}
