package recovery_test

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/recovery"
)

func Example() {
	recoverer, err := recovery.New(recovery.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(…, recoverer), the innermost one.
	handler := recoverer(func(*message.Message) ([]*message.Message, error) {
		var shop struct{ stock map[string]int }
		shop.stock["shoe"]--
		return nil, nil
	})
	_, err = handler(message.NewMessage("1", nil))
	fmt.Println(err)
	var panicked *recovery.PanicError
	fmt.Println(errors.As(err, &panicked), len(panicked.Stack) > 0)
	// Output:
	// handler panicked: assignment to entry in nil map
	// true true
}
