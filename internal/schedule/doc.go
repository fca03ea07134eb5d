// Package schedule keeps durable timed tasks in a SQL table and works them off:
// the one engine under parked messages, delayed publishing, notifications and
// active queries.
//
// A Spec is added, in the caller's transaction or in one of its own. When its
// time has come a Worker, in any process, claims it for a lease, calls the
// Handler, and settles the task by the Outcome: finished, or to run again after
// a delay. Each operation is safe for concurrent use, by any number of
// processes.
//
// # Promises
//
//   - A task is never lost, and runs at least once each time that it is due. It
//     runs twice for one due time only where a worker died or was frozen past
//     its lease; the fencing number then lets no result of the former in.
//   - A due time is worked off once however many workers look for it, so more
//     replicas do not mean more attempts.
//   - Nothing that failed stands in the way: a failed task goes behind by its new
//     due time, targets take turns in every claim, and a target that has reached its
//     Worker's limit is passed over.
//   - Among the unfinished tasks of a queue and target a key is unique.
//   - A task that is finished lets the next of its group become due in the same
//     transaction, so that no crash leaves a group stuck.
//
// # Time
//
// Due times and leases go by one clock, the database's. Tests set Config.Now;
// with it, and time.Now in a bubble of testing/synctest, a schedule of days runs
// in no time.
//
// # Groups
//
// The head of a group is the unfinished task of it that was added first. A task
// that is added with Hold becomes the head where the group is empty, and else is
// Held until each that was added before it is finished. A task without Hold is due by its own
// time, whoever is before it, but those with Hold wait for it too. Whoever
// adds to a group and whoever finishes its head meet at the head's row, so neither
// can overlook the other.
package schedule
