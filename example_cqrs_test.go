package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
)

// OrderPlaced is an event of the example.
type OrderPlaced struct{ SKU string }

// Watermill's cqrs component over outbox and stack: the event bus publishes in
// the transaction that places the order, and an event handler's effect commits
// with its dedup row.
func Example_cqrs() {
	dir, err := os.MkdirTemp("", "sluicegate")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.Background())
	check(sluicegate.Migrate(ctx, db, sluicegate.Config{}))

	handled := make(chan struct{}, 1)
	stack, err := sluicegate.New(db, sluicegate.Config{Consumer: "shop", Observe: func(e sluicegate.Event) {
		if e.Kind == sluicegate.Handled {
			handled <- struct{}{}
		}
	}})
	check(err)
	chain, err := stack.Middleware()
	check(err)
	memory, err := broker.Open(ctx, "memory://?groups=OrderPlaced/stock", broker.Config{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	router.AddMiddleware(chain) // first, so that it is outermost

	marshaler := cqrs.JSONMarshaler{GenerateName: cqrs.StructName}
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(p cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) { return p.EventName, nil },
		SubscriberConstructor: func(p cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return memory.Group(p.HandlerName), nil
		},
		Marshaler: marshaler,
	})
	check(err)
	check(processor.AddHandlers(cqrs.NewEventHandler("stock", func(ctx context.Context, e *OrderPlaced) error {
		if _, ok := sluicegate.Tx(ctx); !ok {
			return errors.New("no transaction")
		}
		fmt.Println("taking", e.SKU, "in the transaction of the dedup row")
		return nil
	})))
	stopped, relayed := make(chan error, 1), make(chan error, 1)
	go func() { stopped <- stack.Run(ctx, router) }()
	<-router.Running()
	box := stack.Outbox()
	go func() { relayed <- box.Relay(ctx, memory) }()

	// Placing an order: the event leaves if the transaction commits.
	tx, err := db.BeginTx(ctx, nil)
	check(err)
	bus, err := cqrs.NewEventBusWithConfig(box.Publisher(ctx, tx), cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) { return p.EventName, nil },
		Marshaler:            marshaler,
	})
	check(err)
	check(bus.Publish(ctx, &OrderPlaced{SKU: "tea"}))
	check(tx.Commit())
	box.Wake()

	<-handled
	cancel()
	check(<-stopped)
	check(<-relayed)
	check(memory.Close())
	// Output:
	// taking tea in the transaction of the dedup row
}
