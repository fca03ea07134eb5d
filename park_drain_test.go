package sluicegate_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

func TestAParkedMessageWhoseChainPanicsDoesNotKeepTheDrainWaiting(t *testing.T) {
	var panics atomic.Bool
	parking(t, sluicegate.Config{Key: func(msg *message.Message) (string, error) {
		if panics.Load() {
			panic("no key")
		}
		return msg.UUID, nil
	}}, func(s *shop) {
		panics.Store(false)
		s.publish("order-1")
		panics.Store(true)
		s.after(5 * time.Minute)
		began := time.Now()
		if err := s.stop(); err != nil || time.Since(began) > time.Second {
			s.t.Errorf("stopped after %v: %v", time.Since(began), err)
		}
	})
}
