package amqp_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/amqp" // amqp:// and amqps://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("amqp://user:secret@h1:5672,h2:0/shop?confirms=false&consumer=singel&prefetch=10"))
	// Output:
	// broker URL: host 2: its port is not a number from 1 to 65535
	// parameter consumer: unknown value: did you mean single?
	// parameter prefetch: must not be less than concurrency, 64
	// parameter confirms: must be true: a message that was not confirmed can be lost
}
