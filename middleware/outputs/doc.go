// Package outputs publishes what a handler returns from inside the chain of
// middlewares, and returns no messages to the Router.
//
// Watermill's Router publishes produced messages after the whole chain has
// returned: no middleware sees a failure there, the message is nacked, and the
// handler runs again, with its effect, for as long as the broker refuses.
//
// # Order
//
// Outbox writes the messages to an outbox in the transaction that the context
// carries: it belongs inside the transaction, and inside retry with it.
// Effect, dedup record and outputs commit together or not at all.
//
// Publish publishes them itself: it belongs outside of idempotency, whose record
// holds the outputs, and so outside of retry. What cannot be published goes
// back to the broker; the redelivery finds the stored outputs, and the handler
// does not run again. Without idempotency inside of it, the redelivery runs the
// handler again.
//
// # Topics
//
// A message goes to the topic that To named, else to Config.TopicFor's, else to
// Config.Topic, else to the one that the handler was added to the Router with;
// with none of them it is a permanent error. A handler that puts
// out nothing needs no topic.
//
// # What is published
//
// Copies: UUID, payload and metadata as returned, with the trace context where
// the trace middleware runs, and without the mark of To. They carry the
// context of the consumed message. The order of the handler's messages is kept
// for each topic.
package outputs
