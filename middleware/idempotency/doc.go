// Package idempotency makes the effect of a message happen once, however often
// the broker delivers it. It has two middlewares, for the two places where the
// record of what has been done can live.
//
// # Transaction: record and effect commit together
//
// Transaction opens one fresh database transaction for each call, inserts the
// record in it, runs the handler with the transaction in the message's context,
// and commits. What the handler writes through that transaction happens once:
// a crash at any point leaves both the effect and the record, or neither. What
// it does elsewhere (an HTTP call, another database) happens at least once.
//
// A retry belongs outside it, so that each attempt has a transaction of its
// own; time-out and recovery belong inside. Messages that the handler produces
// go to an outbox in the same transaction.
//
// # New: claim, run, complete
//
// New works with a record outside the handler's database: in Redis, in memory,
// or in SQL. It claims the record for a lease, runs the handler while it renews
// the lease, and marks the record done, with the messages that the handler
// produced, after the handler has succeeded. Nothing is marked before it is
// true: on an error, a panic or a shutdown the record is released, and the
// redelivered message runs again.
//
// An effect can be repeated by a crash between it and its mark, by a process
// that is frozen for longer than the lease, and by a loss of the store's data.
// Fence returns a number that only grows with each claim of a record, so that a
// resource can refuse the late writer: UPDATE … SET fence = n … WHERE fence < n.
//
// A retry belongs inside it, so that one claim covers all attempts; outputs are
// published outside it, so that those of a duplicate, which New returns from
// the record with their first UUIDs, are published again before the ack.
//
// # What a delivery meets
//
//	none, released     runs
//	processing, live   waits for BusyWait, then goes back
//	processing, over   runs; New asks Config.TakeoverPolicy
//	done               is acked; New returns the stored outputs again
//	parked, dead       is acked
//	other fingerprint  is a permanent failure
//
// "Goes back" is an error marked as unavailable: it spends no attempt and is
// not dead-lettered. The same holds where the store cannot be reached before
// the handler has run: the handler then does not run.
//
// # Retention
//
// A record protects for its retention only. A redelivery can come as late as
// the broker keeps the message, or a dead letter is sent again; a retention
// below Config.RedeliveryHorizon is refused.
package idempotency
