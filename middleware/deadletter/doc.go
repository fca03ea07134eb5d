// Package deadletter is a middleware that sets aside a message which could not
// be handled, as it was received and with every attempt, and then lets the
// broker go on.
//
// # Order
//
// Everything that can still cure a failure belongs inside of it: parking,
// outputs, idempotency, retry, the transaction, time-outs and the recovery of
// panics (a panic that gets here passes through, and the Router nacks). Only
// trace and alerting belong outside.
//
// # Ack and nack
//
//   - No error: the outputs are passed on.
//   - An error, and the message's context is done: the service is shutting down,
//     or the message was taken from it. The error is returned (nack). Judged by
//     the context, not by the error: a handler's own context also ends in
//     context.Canceled.
//   - An error marked as the absence of a dependency: returned (nack).
//   - Any other error: the letter is stored, on a context that a shutdown does
//     not cancel, within Config.PutTimeout; then nil is returned (ack) and
//     Config.Observe is told. A letter that cannot be stored is *StoreError
//     (nack), and nothing is lost.
//
// The outputs of a failed handler are never passed on.
//
// The ack follows the store, so that a crash between them delivers the message
// again and may store it twice: a letter is stored at least once.
//
// # Stores
//
// Topic publishes letters to a topic, with the four metadata keys of Watermill's
// PoisonQueue and our own beside them. SQL keeps them in a table where they can
// be listed and counted. Any other Store will do.
package deadletter
