package pgxtx

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Queue returns what queues statements on b in place of running them, for
// forwarder.Outbox.Publish: a business row and its message then reach PostgreSQL in
// one round trip, and SendBatch runs them as one transaction.
//
//	var b pgx.Batch
//	b.Queue("INSERT INTO orders (id) VALUES ($1)", id)
//	err := box.Publish(ctx, pgxtx.Queue(&b), "orders.placed", msg)
//	…
//	err = pool.SendBatch(ctx, &b).Close()
//
// Nothing has happened before SendBatch, and what it returns from Close tells
// whether the transaction has committed. The batch must not hold BEGIN or
// COMMIT. How many rows a statement affects is not known when it is queued.
func Queue(b *pgx.Batch) Queued { return Queued{b} }

// Queued queues statements on a batch. It is as safe for concurrent use as the
// batch: not at all.
type Queued struct{ batch *pgx.Batch }

// ExecContext queues a statement. It never fails: errors are those of the batch.
func (q Queued) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	q.batch.Queue(query, args...)
	return queued{}, nil
}

var errQueued = errors.New("the statement is queued and has not run")

// queued is the result of a statement that has not run.
type queued struct{}

func (queued) RowsAffected() (int64, error) { return 0, errQueued }
func (queued) LastInsertId() (int64, error) { return 0, errQueued }
