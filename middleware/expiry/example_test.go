package expiry_test

import (
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/middleware/expiry"
)

func Example() {
	fresh, err := expiry.New(expiry.Config{
		Observe: func(e expiry.Event) { fmt.Println(e.Kind, e.MessageID) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(fresh), outside of a retry.
	handler := fresh(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handled", msg.UUID)
		return nil, nil
	})
	for id, age := range map[string]time.Duration{"code-1": time.Minute} {
		msg := message.NewMessage(id, nil)
		forwarder.SetExpiry(msg, time.Now().Add(-age))
		_, err = handler(msg)
		fmt.Println(err)
	}
	msg := message.NewMessage("code-2", nil)
	forwarder.SetExpiry(msg, time.Now().Add(time.Hour))
	_, err = handler(msg)
	fmt.Println(err)
	// Output:
	// expired code-1
	// <nil>
	// handled code-2
	// <nil>
}
