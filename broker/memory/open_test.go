package memory_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestBrokersOfOneNameShareTheirMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, "memory://shared"), open(t, "memory://shared?consumer_group=stock")
		ch, err := b.Subscribe(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- a.Publish("orders", keyed("1", "")) }()
		(<-ch).Ack()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := broker.Open(t.Context(), "memory://shared?concurrency=1", broker.Config{}); err == nil {
			t.Fatal("opened with other parameters")
		}
		_ = a.Close()
		_ = b.Close()
	})
}

func TestAPublishUnderWayEndsWithItsBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "memory://?groups=orders/stock")
		done := make(chan error, 1)
		go func() { done <- b.Publish("orders", keyed("1", "")) }()
		synctest.Wait()
		start := time.Now()
		_ = b.Close()
		if err := <-done; !failure.IsUnavailable(err) || !errors.Is(err, broker.ErrClosed) || time.Since(start) != 0 {
			t.Fatalf("got %v after %s, want closed at once", err, time.Since(start))
		}
	})
}

func TestEveryProblemOfAURLIsReportedTogether(t *testing.T) {
	err := broker.Validate("memory://x:80/y?concurency=3&nack_delay=5&groups=a&ack=non")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"did you mean concurrency", "nack_delay: must be a duration", "groups: must be", "did you mean none", "no path", "without a port"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}
