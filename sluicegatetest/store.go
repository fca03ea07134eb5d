package sluicegatetest

import (
	"context"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// mortal is a store as a process has it that may die: what the layers do on their way out of
// a goroutine that ends, a dead process does not, so the claim stays until its lease ends.
type mortal struct{ idempotency.Store }

// Release gives a claim back, unless its holder is dead.
func (m mortal) Release(ctx context.Context, key idempotency.Key, token string) error {
	if d, ok := ctx.Value(deliveryKey{}).(*delivery); ok && d.dead() {
		return nil
	}
	return m.Store.Release(ctx, key, token) //nolint:wrapcheck // it is the store
}

func (d *delivery) dead() bool {
	select {
	case <-d.crashed:
		return true
	default:
		return false
	}
}
