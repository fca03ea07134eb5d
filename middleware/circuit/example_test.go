package circuit_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func Example() {
	circuits, err := circuit.New(circuit.Config{
		Keys: 3, MaxWait: time.Millisecond, FirstPause: time.Hour,
		OnChange: func(s circuit.Status) { fmt.Println("the bank's circuit is", s.State) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(circuits.Middleware), inside of a retry.
	handler := circuits.Middleware(func(*message.Message) ([]*message.Message, error) {
		return nil, circuit.Dependency(errors.New("connection refused"), "bank")
	})
	for _, order := range []string{"order-1", "order-1", "order-1", "order-2", "order-3", "order-4"} {
		_, err := handler(message.NewMessage(order, nil))
		fmt.Printf("%s: ran: %v\n", order, !errors.Is(err, circuit.ErrOpen))
	}
	// Output:
	// order-1: ran: true
	// order-1: ran: true
	// order-1: ran: true
	// order-2: ran: true
	// the bank's circuit is open
	// order-3: ran: true
	// order-4: ran: false
}
