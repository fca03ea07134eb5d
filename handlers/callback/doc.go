// Package callback calls slow services over HTTP that answer later, by calling
// back, and brings each call to one result, whatever becomes of the callback.
//
// Submit writes the call in the transaction of the caller. After its commit, and
// never before, a Caller sends the request, with the number of the call as
// Idempotency-Key. The service calls back at the Caller's ServeHTTP; and what is still
// open is asked for actively, every five minutes, where Config.QueryURL or Config.Query
// says how, until it has a result or its deadline is over. Callbacks make it quick, queries make it certain.
//
// # States
//
//	waiting ──sent──▶ sent ──callback or query──▶ succeeded | failed
//	   │ ▲              │
//	   └─┘ not sent:    └──deadline──▶ timed_out
//	       again later
//
// A callback may end a call that is still waiting, too: the request can have arrived
// although its answer has not. The first result wins, by a compare-and-set in SQL, and
// goes out as a message through the outbox in the same transaction: one message for
// each call, never two. What comes after it is answered, counted and kept in the
// history, and changes nothing.
//
// # Promises
//
//   - A call whose transaction committed is sent, at least once, and ends in one
//     result: that of the service, or timed_out. One whose transaction rolled back is
//     never sent.
//   - A crash between the sending and its record has the request sent again, with the
//     same number: the service must take each Idempotency-Key once.
//   - A callback that was answered with 200 or 202 is in the database. One that could
//     not be stored was answered with 503, and is the service's to send again.
//   - A service that is away, or answers with 5xx, has said nothing: it spends
//     neither the call nor a result.
//
// # A callback that finds no call
//
// It can be faster than the commit, or than the commit's way to the node that it
// reaches. Submit remembers the numbers of this process in a cache, so that a callback for
// one of them is known to be of a call whose commit is near: it is parked at once. One for a
// number that the cache does not know is looked up three times more, one second
// apart, and then parked. A parked callback is a row in SQL, so any node takes it
// up: it is applied when its call is there, and expires, with an alert, after
// Config.ParkFor.
//
// # What the service sees
//
//	200 applied        this was the first result
//	200 noted          a report that it is still at work; nothing ends
//	200 repeated       the call has this result already
//	200 late           the call has ended otherwise, by query or deadline; recorded, not applied
//	200 contradicted   the call has ended with another result; recorded, not applied, alerted
//	202 parked         the call is not there yet; kept until it is
//	400                the body or its number cannot be read
//	401                the signature is missing, wrong or too old
//	405                not a POST
//	413                the body is larger than Config.MaxBody
//	503                the database cannot be reached; nothing was stored, send it again
//
// 2xx are {"status": "applied"} and so on; all others are problem details
// (RFC 9457). The signature is that of Standard Webhooks 1.0.0, unless Config.Verify
// says otherwise. Within the window of its timestamp a recorded request can be sent
// again; it then is answered as repeated, so no list of ids is needed.
//
// # Concurrency
//
// A Caller is safe for concurrent use. Any number of processes may have a Caller of
// one service on one database; Run works in each. No transaction is open during a
// call over the network. The request goes through a client that refuses private
// addresses when it dials, follows no redirects and reads a bounded answer.
package callback
