package outputs_test

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/outputs"
)

// printer is a Watermill publisher that prints.
type printer struct{}

func (printer) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		fmt.Println(topic, m.UUID)
	}
	return nil
}

func (printer) Close() error { return nil }

func Example() {
	publish, err := outputs.Publish(printer{}, outputs.PublishConfig{Topic: "orders.paid"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(publish, …), outside of idempotency.
	handler := publish(func(msg *message.Message) ([]*message.Message, error) {
		return []*message.Message{
			message.NewMessage("paid-1", msg.Payload),
			outputs.To(message.NewMessage("mail-1", nil), "mails"),
		}, nil
	})
	left, err := handler(message.NewMessage("1", []byte("{}")))
	fmt.Println("left for the Router:", len(left), err)
	// Output:
	// orders.paid paid-1
	// mails mail-1
	// left for the Router: 0 <nil>
}
