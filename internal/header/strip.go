package header

import "strings"

// Strip removes from metadata that arrived from a broker the keys that only
// Sluicegate may write, so that a sender cannot forge them. The partition key,
// the idempotency key and the expiry stay, being the sender's to choose, and so does
// what a dead letter says about itself, which nothing acts on.
func Strip(metadata map[string]string) {
	for key := range metadata {
		if Internal(key) {
			delete(metadata, key)
		}
	}
}

// Internal reports whether key belongs to Sluicegate alone.
func Internal(key string) bool {
	switch key {
	case Key, IdempotencyKey, ExpiresAt, DeadConsumer, DeadKey, DeadAt, DeadAttempts:
		return false
	}
	return strings.HasPrefix(key, Prefix)
}
