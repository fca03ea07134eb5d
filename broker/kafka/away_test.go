package kafka

import (
	"testing"

	"github.com/sluicegate/sluicegate/broker/brokertest"
)

func TestABrokerThatIsAwayIsWaitedForAndNeverHangs(t *testing.T) {
	brokertest.RunAway(t, brokertest.Remote{
		URL:        func(addr string) string { return "kafka://" + addr + "?consumer_group=g" },
		Impossible: "a/b",
	})
}
