package memory_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// A message to a topic that no group has subscribed to is refused at once: it
// would be a delivery to nobody.
func Example() {
	b, err := broker.Open(context.Background(), "memory://", broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	err = b.Publish("orders.placed", message.NewMessage("1", nil))
	fmt.Println(err, failure.IsUnavailable(err))
	// Output: publish to "orders.placed": no consumer group has subscribed to the topic true
}
