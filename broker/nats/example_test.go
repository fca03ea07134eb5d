package nats_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/nats" // nats://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("nats://user:secret@h1:4222,h2:0?stream=SHOP.*&subjects=a..b&order=keys&ackwait=1s"))
	// Output:
	// broker URL: host 2: its port is not a number from 1 to 65535
	// parameter stream: must not have spaces, ".", "*", ">" or slashes, nor more than 200 bytes
	// parameter order: unknown value: did you mean key?
	// parameter subjects: number 1: topic name has an empty part: two dots in a row, or one at an end
	// unknown parameter "ackwait": did you mean ack_wait?
}
