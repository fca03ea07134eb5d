// Package alerting tells an alert.Emitter what a person must know: messages
// that were set aside as dead letters, and failures that nothing caught.
//
// These are two facts from two places, so there are two functions:
//
//   - Observe returns an observer for the dead-letter middleware's
//     Config.Observe. A dead letter swallows the error, so that nothing outside
//     of it can see one, and a layer inside of it would alert before the letter
//     is stored; an observer is told after it is true.
//   - New returns a middleware that alerts on every error which gets past it.
//     Alone, those are the handler's failures; outside of the dead letters,
//     they are what could not even be set aside.
//
// Together they alert once for each, and never twice for one message.
//
// # Order
//
// The middleware belongs outside of everything but trace. It passes on what it
// gets: no ack, no nack, no change to the message. A message that goes back
// because its context is done or a dependency is away is no failure and no
// alert.
package alerting
