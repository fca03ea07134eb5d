// Package sqlstate keeps the state of alerts in a database, where replicas share
// it: one of them decides and sends, all of them together keep a channel's rate,
// and a restart forgets nothing.
//
// It is one table, sluicegate_alert, with a row for each group of alerts, each
// channel and each silence, in PostgreSQL, MySQL or MariaDB, and SQLite. Every
// write compares the version that was read; no row is locked between statements
// and no transaction is kept open. The clock is the database's.
package sqlstate
