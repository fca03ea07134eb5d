// Package timeout is a middleware that gives each call of the handler a
// deadline on the message's context.
//
// # Order
//
// It belongs inside retry, so that each attempt has a deadline of its own, and
// inside the transaction, which then rolls back; only the recovery of panics
// belongs inside of it.
//
// # Ack and nack
//
// It neither acks nor nacks. An error that the handler returns once the
// deadline has passed becomes *Error, which errors.Is finds as ErrTimeout: a
// time-out that we imposed, and so an attempt, also where the handler took it
// for the absence of a dependency. A success after the deadline stays one, and
// so does an error that came in time. Where the message's own context ended
// first, the error is passed on as it is.
//
// A handler that does not look at its context is not interrupted: Go cannot.
// The message has its former context back when the middleware returns.
package timeout
