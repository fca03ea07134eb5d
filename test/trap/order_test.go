package trap_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	sgbroker "github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/forwarder"
)

// inversions runs a router on sub, publishes messages of one key one after the
// other, and counts how often one was handled after a later one.
func inversions(t *testing.T, sub message.Subscriber, pub message.Publisher, messages int) (inverted, mostAtOnce int) {
	t.Helper()
	router := must(message.NewRouter(message.RouterConfig{}, watermill.NopLogger{}))(t)
	var mu sync.Mutex
	var order []int
	running := 0
	all := make(chan struct{})
	router.AddConsumerHandler("stock", "orders", sub, func(msg *message.Message) error {
		mu.Lock()
		running++
		mostAtOnce = max(mostAtOnce, running)
		mu.Unlock()
		runtime.Gosched() // as anything that waits does
		mu.Lock()
		defer mu.Unlock()
		running--
		n, err := strconv.Atoi(string(msg.Payload))
		if err != nil {
			return err
		}
		if order = append(order, n); len(order) == messages {
			close(all)
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- router.Run(context.Background()) }()
	<-router.Running()
	for n := range messages {
		msg := message.NewMessage(watermill.NewShortUUID(), []byte(strconv.Itoa(n)))
		forwarder.SetKey(msg, "one")
		if err := pub.Publish("orders", msg); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all:
	case <-timeLimit(t, soon):
		t.Error("not all were handled")
	}
	_ = router.Close()
	<-done
	highest := -1
	for _, n := range order {
		if n < highest {
			inverted++
		}
		highest = max(highest, n)
	}
	return inverted, mostAtOnce
}

func TestTheStockMemoryPubSubInvertsMessagesOfOneKeyAndOursDoesNot(t *testing.T) {
	const messages = 3000
	plain := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: messages}, watermill.NopLogger{})
	inverted, atOnce := inversions(t, plain, plain, messages)
	if inverted == 0 || atOnce < 2 {
		t.Errorf("plain: %d inversions, %d at once: the trap is gone", inverted, atOnce)
	}
	t.Logf("plain: %d inversions of %d, %d handlers at once", inverted, messages, atOnce)

	ours := must(sgbroker.Open(t.Context(), "memory://?ack=none", sgbroker.Config{}))(t)
	defer func() { _ = ours.Close() }()
	inverted, atOnce = inversions(t, ours.Group("stock"), ours, messages)
	if inverted != 0 || atOnce != 1 {
		t.Errorf("ours: %d inversions, %d at once for one key", inverted, atOnce)
	}
}
