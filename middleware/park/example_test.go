package park_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// On a plain router: what fails is tried again twice, and is then set aside by
// whatever stands outside. A Stack of the root package does all this by itself.
func Example() {
	dir, err := os.MkdirTemp("", "park")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.Background())
	_, err = schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}) // or: sluicegate migrate
	check(err)

	table, err := park.SQL(db, park.TableConfig{})
	check(err)
	parker, err := park.New(table, park.Config{Policy: park.Policy{Schedule: park.Schedule{
		MaxAttempts: 3, Delays: []time.Duration{20 * time.Millisecond},
	}}})
	check(err)

	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	dead := make(chan string, 1)
	router.AddMiddleware(parker.Entry("", ""), func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { // in place of the dead letters
			out, err := next(msg)
			if err != nil {
				dead <- err.Error()
			}
			return out, nil
		}
	}, parker.Middleware)
	channel := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	router.AddConsumerHandler("stock", "orders", channel, func(msg *message.Message) error {
		fmt.Println("handler", message.HandlerNameFromCtx(msg.Context()), "gets", string(msg.Payload))
		return errors.New("no such product")
	})
	stopped := make(chan error, 2)
	go func() { stopped <- router.Run(ctx) }()
	go func() { stopped <- parker.Run(ctx) }()
	<-router.Running()

	check(channel.Publish("orders", message.NewMessage("order-1", []byte("one lamp"))))
	fmt.Println("set aside:", <-dead)
	cancel()
	check(<-stopped)
	check(<-stopped)
	// Output:
	// handler stock gets one lamp
	// handler stock gets one lamp
	// handler stock gets one lamp
	// set aside: no such product
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
