// Package notify tells a partner until they know: best-effort notification, as a
// payment system tells a merchant that money has arrived.
//
// A notification is written in the transaction of the business that it is about
// (Enqueue, or Handler for the messages of a Stack). After the commit a Notifier that
// runs, in any process, POSTs it at once, and again at growing intervals until
// the partner answers 2xx or the attempts are used up: by default after 1 s, 5 s, 15 s, 30 s, 1 min,
// 2 min, 5 min, 10 min, 30 min and then hourly, 50 attempts in all. Then it is
// stopped, a person is told (Config.Alerts), and the partner can still fetch it, and people can
// send it again.
//
// # Promises
//
//   - A notification is there if and only if its transaction committed, once for each request
//     number of a target.
//   - It is delivered at least once, or stopped after its attempts and told. A
//     process that dies while a POST is under way, or before its answer is
//     recorded, has it POSTed again with the same number of attempt and the same webhook-id,
//     by which the partner knows it.
//   - Whoever is down costs their own attempts: a partner that cannot be
//     reached has failed, and so has one that did not answer in time. An attempt that was cut off
//     because we stop, or that our own database could not record, does not count.
//   - No partner delays another: whoever waits for an answer takes no place, and
//     a target has at most PerTarget POSTs under way.
//   - No transaction is open during a POST.
//
// # What a POST is
//
// The payload as it is, signed by Standard Webhooks with every secret of the
// target: webhook-id is the same at each attempt, webhook-timestamp that of
// the attempt. Redirects are not followed and count as failed. A 2xx is success,
// unless the target's Rule says that the body must agree, for partners that answer
// 200 "fail". Then:
//
//   - Retry-After is kept, where it asks for more than the schedule does, up to MaxRetryAfter.
//   - 410 disables the target. What is addressed to it is held, not lost, with no attempt spent,
//     until Enable.
//   - 429, 502, 504, and 503 with Retry-After throttle the target: until that message is tried again
//     (MaxThrottle at most, but for Retry-After) the target's other messages wait, with no attempt spent.
//   - Once several messages of a target in a row have failed, its circuit is open: one at a time is tried,
//     with growing pauses, until one succeeds. The others wait, with no attempt spent.
//
// The address is judged when it is connected to: private ones are refused unless Config
// allows them, which counts as an attempt that failed.
//
// # What partners can do
//
// Endpoint is an http.Handler for them: what they missed by request number or by
// time, a page at a time, and to confirm that they know, which ends a notification. Each
// target has an access of its own, a token or a key, and sees nothing of the others.
//
// # Concurrency and time
//
// A Notifier is safe for concurrent use; any number of processes may run on the
// same tables. Order between notifications is not kept. Times are those of the
// database; the timestamp of a signature is this machine's.
package notify
