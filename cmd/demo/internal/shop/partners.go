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
	// Shipped is called with the orders that shipping handles in tx, of which it knows
	// the id and the SKU. What becomes of them is a message of the topic Parcels.
	Shipped(ctx context.Context, tx *sql.Tx, orders []Order) error
}

type nobody struct{}

func (nobody) Paid(context.Context, *sql.Tx, []Order) error { return nil }

func (nobody) Shipped(context.Context, *sql.Tx, []Order) error { return nil }
