package forwarder_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
)

// OrderPlaced is an event of the shop.
type OrderPlaced struct {
	ID string `json:"id"`
}

// printer stands for a broker.
type printer struct{ done func() }

func (p printer) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		fmt.Printf("%s: %s\n", topic, m.Payload)
	}
	p.done()
	return nil
}

func (printer) Close() error { return nil }

func exampleDB() (*sql.DB, func()) {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// The message is written in the transaction that writes the order, and carried
// to the broker after it has committed.
func Example() {
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
	msg := message.NewMessage("", []byte(`{"id":"order-1"}`))
	forwarder.SetKey(msg, "order-1")
	if err := box.Publish(ctx, tx, "orders.placed", msg); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}

	if err := box.Relay(ctx, printer{done: stop}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// orders.placed: {"id":"order-1"}
}

// Watermill's event bus works over the transaction.
func ExampleOutbox_Publisher() {
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
	bus, err := cqrs.NewEventBusWithConfig(box.Publisher(ctx, tx), cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) {
			return "events." + p.EventName, nil
		},
		Marshaler: cqrs.JSONMarshaler{GenerateName: cqrs.StructName},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := bus.Publish(ctx, OrderPlaced{ID: "order-1"}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}

	if err := box.Relay(ctx, printer{done: stop}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// events.OrderPlaced: {"id":"order-1"}
}
