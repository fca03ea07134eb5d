package deadletter_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/deadletter/deadlettertest"
)

// printer is a store that prints; Topic and SQL are the real ones.
type printer struct{}

func (printer) Put(_ context.Context, l deadletter.Letter) error {
	fmt.Printf("set aside %s with %q: %s (%d attempts)\n", l.Message.UUID, l.Message.Metadata.Get("customer"), l.Reason, len(l.Attempts))
	return nil
}

func Example() {
	aside, err := deadletter.New(printer{}, deadletter.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(aside, …), outside of retry.
	handler := aside(func(msg *message.Message) ([]*message.Message, error) {
		msg.Metadata.Set("customer", "overwritten")
		return nil, errors.New("no such product")
	})
	msg := message.NewMessage("order-1", []byte("{}"))
	msg.Metadata.Set("customer", "42")
	_, err = handler(msg)
	fmt.Println("acked:", err == nil)
	// Output:
	// set aside order-1 with "42": no such product (1 attempts)
	// acked: true
}

func ExampleTopic() {
	store, err := deadletter.Topic(&memory{}, deadletter.TopicConfig{
		For: func(source string) string { return source + ".dead" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.TopicFor("orders.placed"))
	// Output: orders.placed.dead <nil>
}

// ExampleDesk redrives what failed with one error, after a look at it.
func ExampleDesk() {
	ctx := context.Background()
	db, tidy := exampleDB() // a database with the tables of this module
	defer tidy()
	letters, _ := deadletter.SQL(db, deadletter.SQLConfig{})
	for n := range 3 {
		_ = letters.Put(ctx, deadletter.Letter{
			Handler: "stock", Topic: "orders.placed", Key: fmt.Sprint("order-", n), Message: message.NewMessage("", []byte("{}")),
			Reason: fmt.Sprintf("order %d: dial tcp 10.0.0.%d:5432: connection refused", n, n),
		})
	}
	tasks, _ := schedule.New(db, schedule.Config{}) // a Stack brings its own desk
	desk, err := deadletter.NewDesk(letters, deadlettertest.Tasks{Schedule: tasks}, deadletter.DeskConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	groups, _ := letters.Groups(ctx, deadletter.Filter{Handler: "stock"})
	for _, g := range groups {
		fmt.Printf("%d times: %s\n", g.Count, g.Error)
	}
	sel := deadletter.Selection{Filter: &deadletter.Filter{Group: groups[0].Fingerprint}}
	plan, _ := desk.Plan(ctx, sel)
	result, err := desk.Redrive(ctx, deadletter.RedriveRequest{
		Selection: sel, Confirm: plan.Confirm, By: "ann@shop.example", Note: "the database is back", Rate: 100,
	})
	fmt.Printf("redriven: %d of %d, %v\n", result.Done, plan.Count, err)
	_, err = desk.Redrive(ctx, deadletter.RedriveRequest{Selection: sel, By: "bob@shop.example"})
	fmt.Println(errors.Is(err, deadletter.ErrNoMatch))
	// Output:
	// 3 times: order <n>: dial tcp <addr>: connection refused
	// redriven: 3 of 3, <nil>
	// true
}
