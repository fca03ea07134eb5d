package forwardertest_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/forwarder/forwardertest"
)

// The names of the cases are what the outbox guarantees.
func ExampleCases() {
	fmt.Println(forwardertest.Cases()[0].Name)
	// Output:
	// a rolled back transaction publishes nothing
}
