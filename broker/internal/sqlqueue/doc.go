// Package sqlqueue is a broker in a SQL database, the same for PostgreSQL,
// MySQL/MariaDB and SQLite. The packages broker/postgres, broker/mysql and
// broker/sqlite open a *sql.DB, each with its driver, and register it.
//
// # Tables
//
// A message is a row of queue_message. Publish inserts, in the same
// transaction, a row of queue_pending for each group of its topic: the message,
// its shard (a hash of the key) and the group. What is in queue_pending is
// undelivered; an Ack deletes its row. So there is no position in a log that
// could pass a row whose transaction commits late: it is simply there at the
// next look, and an open transaction elsewhere holds nothing back.
//
// A new group is registered while no Publish to its topic is under way (by a
// lock that publishers share for as long as their transaction), and is
// given rows for the messages that are still there. The others get theirs
// from the publishers.
//
// # Consuming
//
// The subscriptions of a group share its 32 shards by leases with fencing
// numbers (package lease). One reads the pending rows of its shards, hands the
// messages to a dispatcher, and deletes the rows of what was acked, many at a
// time, in a transaction that checks the fencing numbers: an owner that was
// frozen for longer than its lease deletes nothing. No transaction is open and
// no row is locked while a handler runs.
//
// A shard that goes to another member is closed first: nothing more of it is
// handed out, what is under way may finish, and only then is the lease given
// back. So the order of a key holds over members that come and go.
//
// # Goroutines
//
// A subscription has five beside the dispatcher's: the reader, the gate (which
// hands out what its shard still allows), the committer, the manager of the
// leases and the janitor. They share its mutex and end before its channel is
// closed.
package sqlqueue
