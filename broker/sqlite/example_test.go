package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/sqlite" // sqlite://
)

// What was published is there when the program starts again, also for a group
// that nobody had thought of.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "queue")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	url := "sqlite://" + filepath.Join(folder, "shop.db")

	before, err := broker.Open(ctx, url, broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("published:", before.Publish("orders.placed", message.NewMessage("1", []byte("order 1"))) == nil)
	_ = before.Close()

	after, err := broker.Open(ctx, url, broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer after.Close()
	messages, err := after.Group("points").Subscribe(ctx, "orders.placed")
	if err != nil {
		fmt.Println(err)
		return
	}
	msg := <-messages
	fmt.Println("points given for", string(msg.Payload))
	msg.Ack()
	// Output:
	// published: true
	// points given for order 1
}
