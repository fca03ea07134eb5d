// Package recovery is a middleware that turns a panic of the handler into an
// error.
//
// # Order
//
// It is the innermost one, next to the handler: every layer outside then sees
// an error like any other, retries it, rolls back, or sets the message aside.
//
// # Ack and nack
//
// A panic becomes *PanicError and is an attempt. The value's text is shown only
// where it is an error, a string or a number: anything else, such as the
// message itself, is named by its type, so that no payload gets into a log.
// What the handler itself put into a panic's text is shown.
//
// runtime.Goexit, which is what testing.T.FailNow calls, cannot be stopped and
// returns through no layer: deferred functions run, so that a transaction is
// rolled back, and this middleware nacks the message, which would otherwise
// stay in flight for ever.
package recovery
