// Package objectsync keeps an object in an object store equal to a database row:
// a product and its JSON file in S3, Tencent COS, MinIO, or a folder.
//
// In the transaction that writes the row, Mark notes that its entity has changed.
// After the commit, Run, in any process, reads the row as it is then (Config.Load)
// and writes the object. What is uploaded is never what a caller handed over, so
// marks may come late, twice, or in another order: the end is the same.
//
// # Promises
//
//   - Database first, then the object. The mark commits with the row or not at all;
//     an upload that failed leaves a correct database to start from.
//   - An object is overwritten, never deleted first: a reader sees the old one or the
//     new one. Repeating an upload gives the same result.
//   - One worker has an entity at a time, by a lease. A mark that comes during an
//     upload makes it run again. A worker that was frozen past its lease and wrote
//     late finds its claim stale, and marks the entity again itself. Where the store
//     is Conditional, its late write is refused in the first place. What a killed one had on
//     its way, or what got no answer, may arrive later still: an upload after that is looked
//     at once more, Config.Recheck later.
//   - No transaction is open while the store is called.
//   - What fails concerns its entity: the others go on.
//
// # Attempts
//
// A run tries up to three times, 1 s and 2 s apart (n · 1 s). What still fails
// comes back by Config.Schedule, at growing intervals up to a cap. After
// Schedule.MaxAttempts runs, or at once for an error that is Permanent (a value that
// cannot be serialised, a body over Config.MaxSize), the record of the entity is
// Failed and an alert goes out; the next Mark, Repair or Reconcile begins anew. A
// store or a database that cannot be reached spends no run, only its immediate
// tries; neither does a stop of the process.
//
// # Versions
//
// Object.Version guards against a row that is older than what was uploaded: one
// read from a replica that lags, or put by a database that was restored. Such an
// upload fails with ErrOlder, and nothing is written. The versions of an entity must
// therefore grow for ever, also across a deletion: a time of the last update or a
// sequence does. Zero, for all objects of a Syncer, is no guard. A deletion removes
// the object and leaves a tombstone with its version in the table, so that an older
// row cannot bring it back. What stands in the way of a right upload is overridden
// by hand (Repair.Override), which is recorded with who did it.
//
// # Drift
//
// Reconcile compares the rows with the store, page by page, tells what is missing,
// stale or orphaned, and repairs it by the same way that every upload takes.
//
// Everything that is exported is safe for concurrent use, by any number of processes on one
// database. On MySQL, a transaction that marks is best READ COMMITTED.
package objectsync
