// Package forwarder is the outbox: messages are written in the caller's own
// database transaction, and a relay carries them to the broker afterwards.
//
// Publish inserts into the table sluicegate_outbox through the transaction that
// it is given. The message leaves if and only if that transaction commits. A
// Relay reads what is in the table, publishes it in batches outside of any
// transaction, and removes a row only after the broker has acknowledged its
// message.
//
// # Promises
//
// Delivery is at least once: a crash between the acknowledgement and the
// removal repeats at most one batch a lane.
//
// Messages with a key (Config.Key, or SetKey) are delivered for the first time
// in the order of their writers, where the writers of one key serialise before
// they publish, by a row lock for instance, and, on MySQL, keep their transaction
// open for no longer than RelayConfig.FloorLag after Publish. A repeated delivery
// may come late. Messages without a key have no order.
//
// Several relays may run at once. They share 32 virtual shards by leases in the
// database, and a relay that was frozen longer than its lease settles nothing.
//
// A broker that cannot be reached spends no attempt: the relay waits as long as
// it takes. While a message is being tried again, later ones of its key wait and
// all other keys go on. One that fails too often is parked, and tried again every
// minute for a while; ParkConfig says whether later ones of its key go on
// meanwhile. One that has failed to the end, or that the broker refuses for good, is
// moved to sluicegate_outbox_history with status "failed" and its error.
//
// # Time
//
// PublishAt, PublishAfter and SetAvailableAt are for messages that are not to leave before their
// time; a relay lets them enter the outbox then. SetExpiry says until when a message
// is worth publishing.
//
// # Databases
//
// PostgreSQL, MySQL/MariaDB and SQLite. With SQLite, all users of the file
// belong in one process, on one connection (SetMaxOpenConns(1)), with
// _txlock=immediate in the DSN.
//
// # Transactions
//
// Anything that has ExecContext lends its transaction: *sql.Tx, GORM's
// tx.Statement.ConnPool, sqlx, ent. For pgx, see package pgxtx. Publishing
// through a *sql.DB works and commits by itself, statement by statement.
package forwarder
