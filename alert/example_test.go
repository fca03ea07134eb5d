package alert_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// printer is a channel that prints; the real ones are packages of their own.
type printer struct{}

func (printer) Send(_ context.Context, a alert.Alert) error {
	fmt.Printf("%s: %s (%s, %d times)\n", a.Severity, a.Summary, a.Handler, a.Count)
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
	fmt.Printf("%+v\n", notifier.Stats())
	// Output:
	// warning: A message could not be handled and was set aside. (shop/stock, 1000 times)
	// {Sent:1 Suppressed:999 Dropped:0 Failed:0}
}
