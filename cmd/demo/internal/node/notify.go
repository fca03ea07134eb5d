package node

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/handlers/notify"
)

var _ shop.Partners = (*partners)(nil)

// notifyConfig is that of the notifier.
func (n *Node) notifyConfig() notify.Config {
	c := notify.Config{Dialect: n.cfg.Database.Dialect(), AllowPrivate: true, Alerts: n.alerts, Logger: n.cfg.Logger}
	if n.cfg.hurry() {
		c.Schedule = notify.Schedule{Delays: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond}, MaxAttempts: 50}
		c.MaxPause, c.MaxThrottle, c.PollMax = 150*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	}
	return c
}

// Paid has the merchant be told of orders once tx commits. The order's id is the
// number of the notification, so that an order which is handled twice is told once.
func (p *partners) Paid(ctx context.Context, tx *sql.Tx, orders []shop.Order) error {
	for _, o := range orders {
		payload, err := json.Marshal(partner.Paid{OrderID: o.ID, Status: shop.Paid})
		if err != nil {
			return fmt.Errorf("encode notification: %w", err)
		}
		if _, err := p.notifier.Enqueue(ctx, tx, notify.Notification{Target: p.merchant(), ID: o.ID, Type: "order.paid", Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}
