// Package trace is a middleware that continues the trace which a message
// carries: W3C traceparent and tracestate are read from its metadata, the
// handling is a consumer span, and what the handler puts out carries the span's
// context on.
//
// # Order
//
// It is the outermost layer, so that the span covers retries, the dead letter
// and the publishing of outputs. An inner layer that publishes outputs itself
// has them prepared here first; those that come out of the chain are prepared
// on the way. Messages that bring a traceparent keep it.
//
// # What is recorded
//
// The attributes are those of OpenTelemetry's messaging conventions:
// messaging.system, messaging.operation.name and .type, messaging.destination.name,
// messaging.message.id, messaging.message.body.size, and handler and consumer
// under sluicegate's own names. An error is recorded with its type and its text,
// shortened; neither payload nor metadata values are. A message that became a
// dead letter is settled and no error of the span, whose attempts tell of it.
//
// It neither acks nor nacks. It compiles the OpenTelemetry API, not the SDK.
package trace
