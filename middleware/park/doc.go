// Package park is a middleware that puts a message aside whose immediate attempts
// have failed, in a SQL table, and gives it to its handler again later: for
// minutes, or for days. The broker is acked once the message is stored, so a
// partition is never held up, and a restart forgets nothing.
//
// # Order
//
// Outside of it belong the dead letters and the alerts, inside of it retry,
// idempotency, outputs and the handler:
//
//	parker.Entry() → dead letter → parker.Middleware() → retry → … → handler
//
// A parked message is given to Entry again, in the process whose Run has claimed
// its task, and goes through all layers: it gets exactly one attempt, numbered
// after those before. A Stack of the root package does all this by itself.
//
// # What is parked
//
// Whatever gets past the layers inside, with these exceptions: an error marked as
// permanent, or one that Config.Retryable refuses, goes on to the dead letters at
// once, and so does the failure of the last attempt of the Policy, with all
// attempts since the first; and an error once the message's context has ended goes back to
// the broker. An error marked as unavailable spends no attempt: the message is
// excused, up to Policy.MaxExcuse in all.
//
// One task for each handler and idempotency key owns the count of attempts. A
// duplicate that arrives meanwhile stores nothing and is acked; that it does not
// run either is the part of the idempotency record, which a Stack moves to
// "parked" in the same transaction.
//
// # Order by key
//
// With Release, the default, later messages of an ordering key (metadata
// sluicegate_key) go on while one of them is parked. With Hold they queue behind it
// in the table, in the order in which they came.
//
// # Ack and nack
//
// A message is acked after it was stored, or after its task was found to be there.
// Where it cannot be stored it is nacked, marked as unavailable, and is delivered
// again by the broker. A parked message is not acked or nacked by anybody: its task
// is settled after its chain has returned.
package park
