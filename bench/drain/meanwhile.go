package drain

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The load beside a large backlog.
const (
	insertEvery = 10 * time.Millisecond
	insertBatch = 10 // so 1,000 a second
)

// busyDatabase holds a write transaction open, in the same database, and writes
// messages all the while.
func busyDatabase(ctx context.Context, f *filler) (written int, err error) {
	held, err := f.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	defer func() { err = errors.Join(err, held.Rollback()) }()
	// A transaction counts as writing once it has an id of its own.
	if _, err := held.ExecContext(ctx, "CREATE TABLE bench_held (id INTEGER)"); err != nil {
		return 0, fmt.Errorf("hold a transaction open: %w", err)
	}
	tick := time.NewTicker(insertEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return written, nil
		case <-tick.C:
		}
		// What has begun is finished, so that the count is true.
		if err := f.fill(context.WithoutCancel(ctx), insertBatch); err != nil {
			return written, fmt.Errorf("write meanwhile: %w", err)
		}
		written += insertBatch
	}
}
