package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// PagePrefix and PageSuffix stand around a SKU in the name of its page.
const (
	PagePrefix = "products/"
	PageSuffix = ".json"
)

// openPages makes what keeps the pages of the products equal to their rows, and
// connects to nothing.
func (n *Node) openPages() (err error) {
	if n.cfg.Pages == nil {
		return nil
	}
	d := n.cfg.Database.Dialect()
	c := objectsync.Config{
		Name: "products-" + short(n.cfg.Consumer), KeyPrefix: PagePrefix, KeySuffix: PageSuffix, Load: shop.LoadProduct(d),
		Dialect: d, Alerts: n.alerts, Logger: n.cfg.Logger,
	}
	if n.cfg.hurry() {
		c.TryWait, c.PollMax, c.OutageMax = 20*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		c.Schedule = objectsync.Schedule{Initial: 100 * time.Millisecond, Max: 400 * time.Millisecond}
	}
	n.pages, err = objectsync.New(n.db, n.cfg.Pages, c)
	return err
}

// pagesIdle reports whether no page is still to be written.
func (n *Node) pagesIdle(ctx context.Context) (bool, error) {
	if n.pages == nil {
		return true, nil
	}
	counts, err := n.pages.Counts(ctx)
	if err != nil {
		return false, fmt.Errorf("count pages: %w", err)
	}
	return counts[objectsync.Pending] == 0, nil
}
