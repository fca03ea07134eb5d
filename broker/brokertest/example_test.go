package brokertest_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker/brokertest"
)

// The names of the cases are the guarantees.
func ExampleCases() {
	for _, c := range brokertest.Cases()[2:4] {
		fmt.Println(c.Name)
	}
	// Output:
	// publish does not return before every group has acked
	// what was published is there after the publisher has gone
}
