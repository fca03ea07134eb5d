// Package expiry is a middleware that does not have a message handled whose time
// is over: a price, a one-time code, a reminder that waited through an outage.
//
// Who publishes sets the time by forwarder.SetExpiry; it travels in the metadata,
// in RFC 3339, under the key "sluicegate_expires_at". The relay of the outbox
// looks at it before it publishes, this middleware before it calls the handler.
//
// # Order
//
// It belongs outside of retry and of idempotency: an expired message makes no
// attempt and no record. A message that expires between two attempts is tried to
// the end. One that is parked is looked at each time that it comes back.
//
// # Ack and nack
//
// An expired message is acked: the middleware returns nil and no messages, and
// tells Config.Observe of it. It passes everything else on as it is, also a message
// whose time cannot be read.
//
// # Clock
//
// The time was set by the publisher's clock and is compared with this process's.
package expiry
