package schedule_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		log.Fatal(err)
	}

	s, err := schedule.New(db, schedule.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 { // the second time it is there already
		added, err := s.Add(ctx, schedule.Spec{Queue: "notify", Target: "partner-7", Key: "order-1", Payload: []byte("paid")})
		fmt.Println("added:", added, err)
	}

	send := func(attempt int) error {
		if attempt < 3 {
			return errors.New("503 Service Unavailable")
		}
		return nil
	}
	w, err := schedule.NewWorker(s, "notify", func(_ context.Context, t schedule.Task) schedule.Outcome {
		attempt := t.Attempts + 1
		if err := send(attempt); err != nil {
			fmt.Println("attempt", attempt, "of", t.Key, "failed:", err)
			return schedule.Outcome{Status: schedule.Waiting, Delay: 10 * time.Millisecond, Attempts: attempt, Error: err.Error()}
		}
		fmt.Println("attempt", attempt, "of", t.Key, "succeeded:", string(t.Payload))
		stop()
		return schedule.Outcome{Status: schedule.Done, Attempts: attempt}
	}, schedule.WorkerConfig{PollMin: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stopped:", w.Run(ctx))
	// Output:
	// added: true <nil>
	// added: false <nil>
	// attempt 1 of order-1 failed: 503 Service Unavailable
	// attempt 2 of order-1 failed: 503 Service Unavailable
	// attempt 3 of order-1 succeeded: paid
	// stopped: <nil>
}
