// Package deadletter is a middleware that sets aside a message which could not
// be handled, as it was received and with every attempt, and then lets the
// broker go on; and a desk where people decide about what was set aside.
//
// # Order
//
// Everything that can still cure a failure belongs inside of it: parking,
// outputs, idempotency, retry, the transaction, time-outs and the recovery of
// panics (a panic that gets here passes through, and the Router nacks). Only
// trace and alerting belong outside.
//
// # Ack and nack
//
//   - No error: the outputs are passed on.
//   - An error, and the message's context is done: the service is shutting down,
//     or the message was taken from it. The error is returned (nack). Judged by
//     the context, not by the error: a handler's own context also ends in
//     context.Canceled.
//   - An error marked as the absence of a dependency: returned (nack).
//   - Any other error: the letter is stored, on a context that a shutdown does
//     not cancel, within Config.PutTimeout; then nil is returned (ack) and
//     Config.Observe is told. A letter that cannot be stored is *StoreError
//     (nack), and nothing is lost.
//
// The outputs of a failed handler are never passed on.
//
// The ack follows the store, so that a crash between them delivers the message
// again and may store it twice: a letter is stored at least once.
//
// # Stores
//
// Topic publishes letters to a topic, with the four metadata keys of Watermill's
// PoisonQueue and our own beside them. SQL keeps them in a table where they can
// be listed, counted and grouped. Any other Store will do. SQLStore.Collect takes
// the letters of a topic, also those of Watermill's PoisonQueue, into the table.
//
// # Lists and groups
//
// List, Page, Count and Groups take a Filter. Pages follow the id, so that what
// comes or goes meanwhile moves nothing; a time, a handler, a topic, a consumer,
// a group, a key or a UUID is found by an index. A text is looked for in the
// letters themselves: Page looks at 20,000 of them and says where to go on.
//
// Letters are of one group where their errors differ in nothing but the values in
// them: numbers, ids, UUIDs, addresses, quotations. The fingerprint of a group is
// 16 hexadecimal digits; it does not depend on handler or topic, by which a Filter
// tells them apart. The rules are:
//
//	"…"  '…'  `…`  «…»  “…”  ‘…’                       ?
//	a UUID                                              <uuid>
//	a URL (its scheme stays), an IP address,
//	a host with a port, an e-mail address               <addr>
//	a word of 8 or more letters and digits mixed, 0x…   <id>
//	a number                                            <n>
//
// A number after SQLSTATE, HTTP, status, code, error or errno stays, as it says
// which error it is. Only the first 1024 bytes count.
//
// # The desk
//
// A Desk redrives letters, one, a group or all that a Filter selects: each goes
// to the handler that failed, as a task in the schedule, and never through its
// topic, where every group of consumers would get it again. Letter, inbox record
// and task change in one transaction, compared and set, so that a letter is
// handed over once whoever else does the same; with records elsewhere (Redis), a
// crash in between leaves the letter dead, to be redriven again. The record enters
// its next epoch and is parked: a duplicate from the broker does not run beside
// the task.
//
// Plan is the dry run: how many, which, and how many of them are older than what
// the records remember (Result.Warning then says so too). Its Confirm binds an
// action to what it counted, and Delete wants it. RedriveRequest has a rate, a
// progress and an edit, which keeps the original; Cancel ends an action in
// whichever process it runs. An action works in batches, holds 8 MiB of letters
// at most (or one that is larger), and is written down with who asked for it and
// how far it got: Actions lists them.
//
// Export writes JSON lines and Import reads them; a letter has a name of its own
// (Ref), so that an import adds it once. Prune removes old letters in small
// batches.
//
// Letters of a version without groups are listed as they are, in the group "";
// Backfill gives them theirs.
package deadletter
