package slogchannel_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/slogchannel"
)

func Example() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	channel, err := slogchannel.New(logger, slogchannel.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = channel.Send(context.Background(), alert.Notification{
		Name: "message_dead_lettered", Severity: alert.Critical, Summary: "set aside", Count: 3,
		Handler: "shop/stock", Labels: map[string]string{"env": "prod"},
	})
	// Output:
	// level=ERROR msg="set aside" alert=message_dead_lettered severity=critical count=3 handler=shop/stock label.env=prod
}
