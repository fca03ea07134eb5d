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
			const url = "memory://watermill?ack=none&nack_delay_max=50ms"
			open(t, url) // keeps the messages while the tests come and go
			brokertest.Watermill(t, url, tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				// Across the instances of one name in one process, which is all it asks.
				Persistent: true,
			})
		})
	}
}

// A message without a key has no order; one at a time, it has.
func TestWatermillsOwnSuiteInOrder(t *testing.T) {
	const url = "memory://watermill-ordered?ack=none&nack_delay_max=50ms&concurrency=1"
	open(t, url)
	brokertest.Watermill(t, url, tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		ForceShort:                          true,
	})
}
