package node

import (
	"fmt"
	"net/http"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// newGuard returns what has an order that comes twice with one Idempotency-Key be
// one order: the key commits with it. An order without a key is taken as it comes.
func (n *Node) newGuard() (*httpidem.Idempotency, error) {
	keys, dialect := n.cfg.Keys, n.cfg.Database.Dialect()
	if keys == nil {
		store, err := sqlstore.New(n.orders, sqlstore.Config{Dialect: dialect})
		if err != nil {
			return nil, fmt.Errorf("keep idempotency keys: %w", err)
		}
		keys = store
	}
	return httpidem.NewTx(httpidem.DB(n.orders, dialect.TxOptions()), keys, httpidem.Config{
		Name:     n.cfg.Consumer + "/http",
		Scope:    httpidem.Anyone, // the shop asks nobody who they are
		Required: func(*http.Request) bool { return false },
		Logger:   n.cfg.Logger,
	})
}
