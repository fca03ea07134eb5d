// Package sluicegate makes the handlers of a Watermill router consistent.
//
// A Stack puts a chain of middlewares around each handler: the effect of a
// message happens once, failures are tried again in fresh transactions, at once and
// then, parked in the database, for an hour or for days, an outage is not a failure,
// what is hopeless is set aside with its bytes and every attempt, a person is told
// once, and a shutdown is not a failure. Package forwarder is the other half: the
// outbox through which messages leave in the transaction of whoever writes them.
//
//	err := sluicegate.Migrate(ctx, db, sluicegate.Config{}) // the tables, those of the outbox too
//	stack, err := sluicegate.New(db, sluicegate.Config{})
//	err = stack.Handle(router, "stock", "orders.placed", kafka.Group("stock"),
//		func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
//			return takeStock(ctx, tx, msg)
//		})
//	err = stack.Run(ctx, router)
//
// # Strengths
//
// With Config.Store nil the strength is SQL: a dedup row commits in the handler's
// own transaction, so that effect and record cannot come apart. With a Store
// (Redis, memory, SQL) it is Claimed: a record is claimed before the handler and
// completed after it, and a crash in between can repeat the effect. ADR 4 in
// docs/adr has both chains and the reason for each place.
//
// # Ack and nack
//
// A message is acked after its effect has committed, after it was found to be a
// duplicate, or after it was stored: parked, or as a dead letter. It is nacked,
// without having spent an attempt, where a dependency of ours could not be reached or
// the process is shutting down. Nothing else happens to a message.
package sluicegate
