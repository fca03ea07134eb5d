// Package webhook signs and verifies HTTP requests as Standard Webhooks 1.0.0
// say (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
// the headers webhook-id, webhook-timestamp and webhook-signature, over the bytes
// "id.timestamp.body".
//
// # Keys
//
// A symmetric key is written "whsec_" and the base64 of 24 to 64 bytes; both sides
// have it, and its signatures (HMAC-SHA256) begin with "v1,". An asymmetric one is
// ed25519: the sender has "whsk_" and the base64 of a seed of 32 bytes or of the
// private key of 64, the receiver "whpk_" and that of the public key of 32; its signatures
// begin with "v1a,".
//
// To replace a key, sign with the old and the new one for a while: a request then
// carries a signature of each, and a receiver accepts it where any of the keys
// that it has made any of them.
//
// # What it does not do
//
// The id of a message is the same at each attempt, the timestamp is that of the
// attempt. A request that is sent again within the window verifies again: who must not take
// it twice keeps the ids that it has seen.
//
// Errors name the number of a key and never what it is.
package webhook
