// Package dispatch is how drivers deliver: one message of a key at a time, in
// the order in which they were added, many keys side by side, and a nacked one
// again after a wait during which the later ones of its key wait as well. What
// an Ack means to the broker (a deletion, a mark, an offset once nothing lower
// is open) is the driver's, told by Handlers.
//
// A [Dispatcher] lives as long as a claim: a subscription, or a partition for
// as long as it is assigned. What has not been acked by then is returned.
//
// # How it works
//
// An Ack closes a channel of its message, so somebody has to wait for each.
// A goroutine per message would be the simplest, and costs more than all
// the rest where handlers are quick. So a worker delivers as many as it may and
// then waits for the oldest of them: by the time that one is answered, most of
// the others are, and they are finished together. Whatever a worker has waited
// for in vain for a moment (patience) gets a goroutine of its own, so that no
// slow message keeps another one's answer from being seen for longer.
//
// At most one worker at a time takes what is ready (taking); it hands that on
// before it waits. Workers end when they have nothing to wait for and nothing
// to take, so that an idle dispatcher has no goroutine.
package dispatch
