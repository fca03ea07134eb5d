package deadletter_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// printer is a store that prints; Topic and SQL are the real ones.
type printer struct{}

func (printer) Put(_ context.Context, l deadletter.Letter) error {
	fmt.Printf("set aside %s with %q: %s (%d attempts)\n", l.Message.UUID, l.Message.Metadata.Get("customer"), l.Reason, len(l.Attempts))
	return nil
}

func Example() {
	aside, err := deadletter.New(printer{}, deadletter.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(aside, …), outside of retry.
	handler := aside(func(msg *message.Message) ([]*message.Message, error) {
		msg.Metadata.Set("customer", "overwritten")
		return nil, errors.New("no such product")
	})
	msg := message.NewMessage("order-1", []byte("{}"))
	msg.Metadata.Set("customer", "42")
	_, err = handler(msg)
	fmt.Println("acked:", err == nil)
	// Output:
	// set aside order-1 with "42": no such product (1 attempts)
	// acked: true
}

func ExampleTopic() {
	store, err := deadletter.Topic(&memory{}, deadletter.TopicConfig{
		For: func(source string) string { return source + ".dead" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.TopicFor("orders.placed"))
	// Output: orders.placed.dead <nil>
}
