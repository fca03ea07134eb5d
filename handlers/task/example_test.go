package task_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// An invoice is sent after the order has been committed, until the printer takes it, and is
// marked in the transaction that ends the task.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	_, err = schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}) // yours: sluicegate.Migrate
	check(err)
	_, err = db.ExecContext(ctx, "CREATE TABLE invoice (order_id TEXT PRIMARY KEY, sent_at TEXT)")
	check(err)

	tasks, err := task.New(db, "invoice", task.Config{Delays: []time.Duration{time.Millisecond}})
	check(err)
	tx, err := db.BeginTx(ctx, nil)
	check(err)
	_, err = tx.ExecContext(ctx, "INSERT INTO invoice (order_id) VALUES ('order-1')")
	check(err)
	for range 2 { // the second one is the same
		added, err := tasks.Add(ctx, tx, task.Spec{Target: "printer", Key: "order-1"})
		fmt.Println("added:", added, err)
	}
	check(tx.Commit())
	tasks.Wake()

	err = tasks.Run(ctx, func(_ context.Context, t task.Task) task.Outcome {
		if t.Attempts < 2 {
			fmt.Println("attempt", t.Attempts+1, "failed")
			return task.Failed(errors.New("paper jam"))
		}
		fmt.Println("printed", t.Key)
		return task.Succeeded().And(func(ctx context.Context, tx *sql.Tx) error {
			defer stop() // of the example
			_, err := tx.ExecContext(ctx, "UPDATE invoice SET sent_at = 'now' WHERE order_id = ?", t.Key)
			return err
		})
	})
	check(err)
	var sent int
	check(db.QueryRow("SELECT COUNT(*) FROM invoice WHERE sent_at IS NOT NULL").Scan(&sent))
	fmt.Println("marked as sent:", sent)
	// Output:
	// added: true <nil>
	// added: false <nil>
	// attempt 1 failed
	// attempt 2 failed
	// printed order-1
	// marked as sent: 1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
