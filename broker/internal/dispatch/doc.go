// Package dispatch is how drivers deliver: one message of a key at a time, in
// the order in which they were added, many keys side by side, and a nacked one
// again after a wait during which the later ones of its key wait as well. What
// an Ack means to the broker (a deletion, a mark, an offset once nothing lower
// is open) is the driver's, told by Handlers.
//
// A [Dispatcher] lives as long as a claim: a subscription, or a partition for
// as long as it is assigned. What has not been acked by then is returned.
package dispatch
