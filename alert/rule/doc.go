// Package rule turns numbers into alerts: a queue that grows, a lag, a circuit
// that is open.
//
// A Rule samples a Gauge at intervals. It fires once the value has been at or
// above High for as long as For says, and is resolved once it has been at or
// below Low for as long as Clear says; in between nothing changes, so that a
// value which wavers around one limit does not fire and resolve all the time.
// With Growth it is not the value that counts but by how much it has grown
// within that time, for counters that only rise.
//
// A gauge that fails says nothing: what fires goes on firing, what does not does
// not begin to. One that keeps failing is an alert of its own.
//
// The functions named after what may go wrong return rules with names, texts and
// limits, whose fields can be changed before New. Inhibitions are the alerts
// among them that follow from others.
package rule
