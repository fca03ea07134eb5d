package redis

import (
	"testing"

	"github.com/sluicegate/sluicegate/broker/brokertest"
)

func TestABrokerThatIsAwayIsWaitedForAndNeverHangs(t *testing.T) {
	brokertest.RunAway(t, brokertest.Remote{
		URL: func(addr string) string { return "redis://" + addr + "/0?consumer_group=g&dial_timeout=700ms" },
	})
}
