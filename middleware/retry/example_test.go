package retry_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/retry"
)

func Example() {
	again, err := retry.New(retry.Config{
		MaxAttempts: 4,
		Initial:     time.Millisecond,
		Jitter:      retry.NoJitter,
		OnRetry: func(_ *message.Message, attempt int, delay time.Duration, err error) {
			fmt.Printf("attempt %d: %v, next in %s\n", attempt, err, delay)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(again).
	handler := again(func(msg *message.Message) ([]*message.Message, error) {
		switch retry.Attempt(msg.Context()) {
		case 1:
			return nil, errors.New("deadlock")
		case 2:
			return nil, retry.RetryAfter(errors.New("too many requests"), 3*time.Millisecond)
		default:
			return nil, retry.Permanent(errors.New("no such product"))
		}
	})
	_, err = handler(message.NewMessage("1", nil))
	fmt.Println("gives up:", err)
	// Output:
	// attempt 1: deadlock, next in 1ms
	// attempt 2: too many requests, next in 3ms
	// gives up: no such product
}
