package kafka_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/kafka" // kafka://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("kafka://user:secret@h1:9092,h2:0?sasl=scram-sha-521&acks=1"))
	// Output:
	// broker URL: host 2: its port is not a number from 1 to 65535
	// parameter acks: must be all: with anything less a confirmed message can be lost
	// parameter sasl: unknown value: did you mean scram-sha-512?
}
