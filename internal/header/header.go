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
	// ExpiresAt is when the message is over, in RFC 3339: from then on it is
	// neither published nor handled.
	ExpiresAt = "sluicegate_expires_at"
	// AvailableAt is when a message that is being published may leave, in RFC 3339.
	// It is taken off before the message is stored.
	AvailableAt = "sluicegate_available_at"
	// Quarantine says why a broker driver could not read a foreign message
	// as it should be; the payload is then the raw bytes.
	Quarantine = "sluicegate_quarantine"
	// Topic names the topic that a produced message goes to. It is taken off
	// before the message is published.
	Topic = "sluicegate_topic"
	// DeadConsumer is the consumer, on messages of a dead-letter topic; they
	// carry it and the next three besides Watermill's poison keys.
	DeadConsumer = "sluicegate_dead_consumer"
	// DeadKey is the idempotency key.
	DeadKey = "sluicegate_dead_key"
	// DeadAt is when the message was set aside, in RFC 3339.
	DeadAt = "sluicegate_dead_at"
	// DeadAttempts are its attempts, in JSON.
	DeadAttempts = "sluicegate_dead_attempts"

	// TraceParent is the W3C Trace Context header of that name.
	TraceParent = "traceparent"
	// TraceState is the other one.
	TraceState = "tracestate"
)

// KeySources returns the names of the metadata that the default idempotency key
// is taken from.
func KeySources() []string {
	names := []string{IdempotencyKey}
	for _, n := range CloudEvents {
		names = append(names, n.ID, n.Source)
	}
	return names
}

// CloudEvents are the spellings of the attributes id and source: those of Kafka,
// of HTTP, of HTTP as Go canonicalises it, and the two of AMQP.
var CloudEvents = [...]struct{ ID, Source string }{
	{"ce_id", "ce_source"},
	{"ce-id", "ce-source"},
	{"Ce-Id", "Ce-Source"},
	{"cloudEvents:id", "cloudEvents:source"},
	{"cloudEvents_id", "cloudEvents_source"},
}
