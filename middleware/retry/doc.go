// Package retry is a middleware that calls a failing handler again at once, in
// process, with a capped exponential backoff and full jitter.
//
// # Order
//
// Outside of it belong dead letters, parking and outputs. Inside of it belong
// what each attempt needs afresh: a transaction, a time-out, and the recovery
// of panics, which retry leaves alone. A transaction must never be outside: two
// attempts in one transaction commit both their effects.
//
// # What is an attempt
//
// Every return of the handler with an error is one, with two exceptions that
// are returned at once as they are, for the outer layers to hand back to the
// broker: an error marked by Unavailable, and any error once the context that
// the message had on entry is done. A time-out inside of retry is an attempt.
//
// # Ack and nack
//
// It neither acks nor nacks. After the last attempt it returns *ExhaustedError;
// a Permanent error, or one that Config.Retryable refuses, is returned as it is
// after the attempt that it came from.
//
// A message that was parked and is handled again by its task gets exactly one
// attempt in each such delivery, numbered on from those before, and then the
// *ExhaustedError: when the next one is made is the business of the parking.
//
// # The message between attempts
//
// Each attempt starts with the UUID, metadata, payload slice and context that
// the message had on entry: what a failed attempt set is gone. What the last
// attempt set stays, but for the context, which is always put back. The bytes
// of the payload are not copied; a handler must not write to them.
//
// The message waits in memory, un-acked, and what is behind it in its partition
// waits too: keep the sum of the delays well under the broker's patience, and
// leave long pauses to parking.
package retry
