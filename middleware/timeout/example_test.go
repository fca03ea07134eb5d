package timeout_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/timeout"
)

func Example() {
	limit, err := timeout.New(timeout.Config{Timeout: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(limit), inside of a retry.
	handler := limit(func(msg *message.Message) ([]*message.Message, error) {
		<-msg.Context().Done() // a slow query, given up by its driver
		return nil, msg.Context().Err()
	})
	msg := message.NewMessage("1", nil)
	_, err = handler(msg)
	fmt.Println(err)
	fmt.Println(errors.Is(err, timeout.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	fmt.Println("context afterwards:", msg.Context().Err())
	// Output:
	// handler timed out after 1ms: context deadline exceeded
	// true true
	// context afterwards: <nil>
}
