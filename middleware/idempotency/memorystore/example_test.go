package memorystore_test

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func Example() {
	once, err := idempotency.New(memorystore.New(), idempotency.Config{Handler: "greeter"})
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
	// Output: hello, world
}
