// Package alert tells people what needs them, once.
//
// A Notifier takes alerts from anywhere without ever blocking the caller, folds
// them into groups, and tells channels of the groups: what fires, how often, for
// example what, and that it is over. A channel is a Sender; each service has a
// package of its own below this one.
//
// # Groups
//
// The fingerprint of an alert is its name, handler, topic and labels: what is
// stable. Keys, reasons and message ids are not part of it, or a thousand failing
// messages would be a thousand alerts. A group is the alerts of one fingerprint,
// or those that Config.GroupBy puts together. A channel is told of it
//
//   - for the first time after GroupWait, or at once where it is critical;
//   - of what is new in it, has become worse or is over, GroupInterval after it
//     was told last;
//   - of nothing new, Repeat after it was told last, while it goes on;
//   - that all of it is over, because Resolve was called or nothing came for as
//     long as Quiet. What fires and is resolved before anybody was told is never
//     told. What comes and goes must be still for longer each time.
//
// # Channels
//
// Routes choose channels by matchers, escalations add some after a time, and a
// fallback stands in for one that fails. A channel takes Config.Rate
// notifications within any minute; what is more waits, and becomes one digest.
// A SendError says what to do next: to try again, to leave the channel alone
// until a time, or that it is broken. A broken one is tried again every ten
// minutes, and the alert about it, ChannelBrokenName, never goes to it.
//
// Silences keep back what they match until their end, and inhibitions what
// follows from something else that fires. What is kept back is not told later,
// unless it still fires then.
//
// # State
//
// What replicas share is in a State, and its clock counts: a row for each group,
// which one replica leases to decide, send and save. One that is killed between
// sending and saving has its successor send once more: at least once, and at
// most one repeat for each such end. Without Config.State it is kept in memory,
// and a restart forgets it. An alert that was written but not told, because no
// process ran, is told by the next.
//
// Emit only folds what comes into a bounded map. It is written to the state
// within about a second by the goroutine that runs the Notifier; what a killed
// process had not written by then is lost. While the state fails, this replica
// waits for ten seconds and then decides alone, on a state in its memory.
//
// What is sent holds names, keys and errors as callers of Emit gave them, and
// never a payload or a secret, as long as those keep them out.
package alert
