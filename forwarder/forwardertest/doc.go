// Package forwardertest is the conformance suite of the outbox and its relay.
// The name of each case is a guarantee. It runs against any database that the
// outbox supports:
//
//	forwardertest.Run(t, forwardertest.Harness{DB: db})
//
// Each case has tables of its own, by a random prefix, and drops them.
package forwardertest
