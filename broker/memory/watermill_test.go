package memory_test

import (
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/sluicegate/sluicegate/broker/brokertest"
)

// Watermill's tests publish before anyone has subscribed and expect Publish to
// return before anyone has acked, so they run with ack=none.
func TestWatermillsOwnSuite(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
			const url = "memory://watermill?ack=none"
			open(t, url) // keeps the messages while the tests come and go
			brokertest.Watermill(t, url, tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				Persistent:          false,
			})
		})
	}
}
