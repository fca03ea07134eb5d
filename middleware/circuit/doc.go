// Package circuit is a gate in front of a handler. While what the handler
// depends on is away, its messages wait instead of running; a few of them try
// now and then, and when they succeed the others follow.
//
// # When it opens
//
// A circuit opens when Keys different messages have failed within Window, the
// latest failure of each counted, and among the outcomes since the first of
// those failures at least the share Ratio are failures. One message alone never
// opens it, however often it fails or times out: it is one key. Nor do a few bad
// ones among many good ones.
//
// Every error counts, marked as unavailable or not, a time-out too, but for:
// a Permanent one (it is the message's), one that comes after the message's own
// context has ended, a record that another delivery works on or wins, and what
// Config.Counts refuses. A duplicate that was acked without running counts as
// nothing.
//
// # While it is open
//
// A message that comes waits, un-acked, for at most MaxWait, and then gets an
// error that errors.Is finds as ErrOpen, that is marked as unavailable, and that
// asks for a delay until the next probe: retry spends no attempt on it, and
// parking stores it. After FirstPause one of the waiting messages is let through
// as a probe, and where none waits the next that comes; at most Probes at a
// time. A key whose probe has failed is not chosen again while another waits.
// After a failed probe the pause doubles, up to MaxPause; half of each pause is
// random, so that replicas, each of which has circuits of its own, do not probe
// together. After a successful probe the next follows at once, and after
// Successes of them in a row the circuit closes and all go on.
//
// A probe that takes longer than MaxPause no longer keeps others from probing.
//
// # Dependencies
//
// Each handler has one circuit of its own. A handler that depends on several
// things names them: by Dependency, which marks the error of the one that
// failed, or by Uses, which it calls before it turns to one, so that a time-out
// is counted to the right one too. Each name then has a circuit of its own, and a
// message waits for all the open circuits of its handler, or only for those that
// Config.Dependencies names for it. Where a dependency was named by Uses, only
// messages that use it count as its successes.
//
// # Order
//
// It belongs directly inside retry, and outside of the transaction and the
// time-out: a message that waits then holds no transaction open and has its
// whole time when it runs.
//
// # Ack and nack
//
// It neither acks nor nacks. Keep MaxWait well under what the broker allows a
// message to be un-acked (Redis: idle time, JetStream: ack wait, RabbitMQ:
// consumer timeout), less what the handler itself takes. Without parking, the
// broker delivers a message again that got ErrOpen.
package circuit
