package header

import "strings"

// Strip removes from metadata that arrived from a broker the keys that only
// Sluicegate may write, so that a sender cannot forge them. The partition key
// and the idempotency key stay: they are the sender's to choose.
func Strip(metadata map[string]string) {
	for key := range metadata {
		if Internal(key) {
			delete(metadata, key)
		}
	}
}

// Internal reports whether key belongs to Sluicegate alone.
func Internal(key string) bool {
	return strings.HasPrefix(key, Prefix) && key != Key && key != IdempotencyKey
}
