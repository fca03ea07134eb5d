// Package unavailable is a middleware that marks a handler's error as the
// absence of a dependency where it recognises one: connection refused, no
// route, a dial that timed out, a temporary failure of DNS, a connection broken
// or reset before an answer, HTTP 502, 503 or 504 in an error with a method
// StatusCode() int, a database or a broker that is away or shutting down.
//
// Such an error says nothing about the message. Retry spends no attempt on it,
// parking stores the message without one, and nobody sets it aside.
//
// # What is not
//
// A time-out that we imposed, by middleware/timeout, is an attempt, whatever
// the handler made of it: a message that always takes too long must end. So is
// a time-out of the handler's own while it waits for an answer, and whatever
// could be the message's fault as well: io.EOF and io.ErrUnexpectedEOF outside
// of an HTTP call, an unknown host, a refused certificate, a wrong password.
// Config.Also adds what a service knows better; an error can also be marked
// where it arises, by Mark.
//
//	Also: []func(error) bool{func(err error) bool { return status.Code(err) == codes.Unavailable }} // gRPC
//
// # Order
//
// It belongs directly inside retry, or inside a circuit that is there, and
// outside of the transaction, outputs and time-out: so it sees a commit that
// fails, too.
//
// # Ack and nack
//
// It neither acks nor nacks, and it marks nothing once the context that the
// message had on entry is done.
package unavailable
