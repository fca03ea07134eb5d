package broker_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory" // memory://
)

func Example() {
	ctx := context.Background()
	b, err := broker.Open(ctx, "memory://", broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	messages, err := b.Group("stock").Subscribe(ctx, "orders.placed")
	if err != nil {
		fmt.Println(err)
		return
	}
	handled := make(chan struct{})
	go func() {
		msg := <-messages
		fmt.Println("stock taken for", string(msg.Payload))
		msg.Ack()
		close(handled)
	}()

	msg := message.NewMessage("1", []byte("order 1"))
	msg.Metadata.Set("sluicegate_key", "customer 7")
	err = b.Publish("orders.placed", msg) // returns when the group has acked
	<-handled
	fmt.Println("published:", err == nil)
	// Output:
	// stock taken for order 1
	// published: true
}

func ExampleValidate() {
	fmt.Println(broker.Validate("memory://shop?concurency=8"))
	// Output: broker URL: unknown parameter "concurency": did you mean concurrency?
}
