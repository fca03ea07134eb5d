// Package task is the engine of the ready-made handlers for handlers of your own:
// durable timed work, added in the transaction that makes it necessary and tried
// until it is done, given up or not wanted any more.
//
//	tasks, err := task.New(db, "invoice", task.Config{Alerts: notifier})
//	added, err := tasks.Add(ctx, tx, task.Spec{Target: customer, Key: order})  // with the order
//	err = tx.Commit()
//	tasks.Wake()
//	...
//	err = tasks.Run(ctx, func(ctx context.Context, t task.Task) task.Outcome {
//		if err := send(ctx, t.Key); err != nil { // no transaction is open
//			return task.Failed(err)
//		}
//		return task.Succeeded().And(func(ctx context.Context, tx *sql.Tx) error {
//			return markSent(ctx, tx, t.Key) // with the settlement
//		})
//	})
//
// The guide docs/guides/handler-kit.md builds one from start to end.
//
// # Promises
//
//   - A task that was added in a transaction is there if and only if that commits. From
//     then on it is never lost.
//   - Its Func is called at least once for each time that it is due: once, unless a process
//     died or was frozen past its lease while it had the task. What the Func calls must
//     therefore know the task again: give it Task.Key, or Task.Queue and Task.ID, as the idempotency key.
//   - What an Outcome writes by And is there if and only if the outcome is: once. Whoever
//     outlived its lease writes nothing, for the fence is checked in the same transaction.
//   - Among the unfinished tasks of a queue and target, a key is unique: Add of the
//     same key changes nothing and says so.
//   - The tasks of a group are worked in the order in which they were added, one at a time.
//
// # Outcomes
//
// Succeeded ends the task. Failed looks at the error, as the middlewares do:
//
//   - marked by retry.Permanent: the task is dead, and Config.Alerts is told;
//   - the absence of a dependency, as middleware/unavailable recognises it or marked by
//     retry.Unavailable: no attempt is spent, and the task comes back after Config.Away;
//   - marked by retry.RetryAfter: an attempt, and the next one not before that, up to
//     Config.MaxRetryAfter;
//   - any other, a panic and a time-out: an attempt, and the next one after
//     Config.Delays; after Config.MaxAttempts, the task is dead.
//
// Later is neither: there was nothing to do yet, which spends no attempt. Withdrawn ends
// a task that is not wanted any more. What was cut off because Run is to stop is given
// back as it was.
//
// # Order, ack and nack
//
// There is no message, so nothing is acked. A handler of messages adds a task in its
// own transaction and returns: the message is then acked, since the task is stored.
// Tasks without a group have no order but that of their due times.
//
// # Concurrency and time
//
// A Queue is safe for concurrent use, by any number of processes. Targets take turns, and
// one that is slow holds at most Config.PerTarget places. Due times and leases go by the
// database's clock, or by Config.Now in tests.
package task
