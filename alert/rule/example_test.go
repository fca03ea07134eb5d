package rule_test

import (
	"context"
	"fmt"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/rule"
)

func Example() {
	notifier, err := alert.New(nobody{}, alert.Config{Inhibitions: rule.Inhibitions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	waiting := func(context.Context) (float64, error) { return 120, nil } // such as the outbox's own figure
	backlog := rule.OutboxBacklog(waiting)
	backlog.High, backlog.Low = 100, 10
	engine, err := rule.New(notifier, []rule.Rule{backlog}, rule.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = engine // go engine.Run(ctx), beside notifier.Run(ctx)
	fmt.Println(backlog.Name, "fires at", backlog.High, "and is over at", backlog.Low)
	// Output: outbox_backlog fires at 100 and is over at 10
}
