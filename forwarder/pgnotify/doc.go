// Package pgnotify wakes relays in other processes through PostgreSQL's LISTEN
// and NOTIFY, so that a committed message reaches its broker within about a
// millisecond, and an idle relay looks at its table a few times a second only.
//
//	signal, err := pgnotify.New(db, pgnotify.Config{})
//	box, err := forwarder.New(db, forwarder.Config{Signal: signal})
//
// Every process of one database uses it alike: those that publish call
// Outbox.Wake after the commit, as they do without it, and those that relay
// listen. A NOTIFY inside each transaction would be simpler and is not done:
// such transactions commit one after the other, which takes half of the
// throughput of many writers. Here Wake sends one notification for all commits
// of forwarder.Config.SignalEvery, in a statement of its own.
//
// A notification that is lost, because the process died between the commit and
// Wake or the connection was down, costs latency only: relays go on looking.
//
// It needs pgx's driver for database/sql, and each relay keeps one connection of
// the pool to listen on. Poolers that hand out a connection for each
// transaction (PgBouncer in transaction mode) do not pass notifications on.
package pgnotify
