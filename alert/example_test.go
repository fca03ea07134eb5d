package alert_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// printer is a channel that prints; the real ones are packages of their own.
type printer struct{}

func (printer) Send(_ context.Context, n alert.Notification) error {
	fmt.Printf("%s: %s (%s, %d times, for example %s)\n", n.Severity, n.Summary, n.Handler, n.Count, n.Samples[0].Key)
	return nil
}

func Example() {
	notifier, err := alert.New(printer{}, alert.Config{Repeat: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 1000 {
		notifier.Emit(alert.Alert{
			Name: "message_dead_lettered", Handler: "shop/stock", Topic: "orders.placed",
			Summary: "A message could not be handled and was set aside.", Key: fmt.Sprint("order-", i),
		})
	}
	// A service runs it for as long as it lives; here it only drains.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := notifier.Run(ctx); err != nil {
		fmt.Println(err)
	}
	stats := notifier.Stats()
	fmt.Println(stats.Sent, "sent,", stats.Suppressed, "folded into it")
	// Output:
	// warning: A message could not be handled and was set aside. (shop/stock, 1000 times, for example order-0)
	// 1 sent, 999 folded into it
}
