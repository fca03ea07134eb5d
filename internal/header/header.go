// Package header names the metadata keys that Sluicegate reads and writes on
// messages. Keys that begin with Prefix belong to Sluicegate.
package header

const (
	// Prefix begins every metadata key of Sluicegate.
	Prefix = "sluicegate_"
	// Key is the partition key: messages of one key keep their order.
	Key = "sluicegate_key"
	// IdempotencyKey is the business key under which an effect happens once.
	IdempotencyKey = "sluicegate_idempotency_key"
	// Quarantine says why a broker driver could not read a foreign message
	// as it should be; the payload is then the raw bytes.
	Quarantine = "sluicegate_quarantine"
	// Topic names the topic that a produced message goes to. It is taken off
	// before the message is published.
	Topic = "sluicegate_topic"
	// The dead-letter topic's messages carry these besides Watermill's poison
	// keys: consumer, idempotency key, time (RFC 3339) and attempts (JSON).
	DeadConsumer = "sluicegate_dead_consumer"
	DeadKey      = "sluicegate_dead_key"
	DeadAt       = "sluicegate_dead_at"
	DeadAttempts = "sluicegate_dead_attempts"

	// TraceParent and TraceState are the W3C Trace Context headers.
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)
