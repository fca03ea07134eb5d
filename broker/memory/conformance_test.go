package memory_test

import (
	"crypto/rand"
	"testing"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
)

func TestConformance(t *testing.T) {
	brokertest.Run(t, brokertest.Harness{
		URL: func(brokertest.T) string { return "memory://" + rand.Text() },
		Declared: broker.Capabilities{
			Driver: "memory", Order: broker.OrderByKey, Groups: true, KeyConcurrency: true, ConsumedAck: true,
		},
	})
}
