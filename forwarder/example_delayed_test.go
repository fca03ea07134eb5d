package forwarder_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
)

// A reminder is written with the order, leaves a moment later, and is of no use
// after an hour.
func ExampleOutbox_PublishAfter() {
	db, closeDB := exampleDB()
	defer closeDB()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	// … write the order through tx …
	reminder := message.NewMessage("", []byte(`{"id":"order-1"}`))
	forwarder.SetExpiry(reminder, time.Now().Add(time.Hour))
	if err := box.PublishAfter(ctx, tx, 50*time.Millisecond, "orders.reminded", reminder); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	left := time.Now().Add(50 * time.Millisecond)

	if err := box.Relay(ctx, printer{done: stop}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("in time:", !time.Now().Before(left))
	// Output:
	// orders.reminded: {"id":"order-1"}
	// in time: true
}
