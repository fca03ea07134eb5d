package shop

import (
	"context"
	"database/sql"
)

// Partners are told of orders in the transactions of what they are told of: a
// transaction that rolls back has told nobody.
type Partners interface {
	// Paid is called with the orders that are set paid in tx.
	Paid(ctx context.Context, tx *sql.Tx, orders []Order) error
}

type nobody struct{}

func (nobody) Paid(context.Context, *sql.Tx, []Order) error { return nil }
