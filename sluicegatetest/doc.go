// Package sluicegatetest tests handlers without a server: a real Stack and a real router
// on a temporary SQLite database, fed by hand, on the virtual time of testing/synctest,
// so that a retry in half an hour, and a dead letter in a week, take no time.
//
//	func TestStockIsTakenOnce(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			h := sluicegatetest.New(t, sluicegatetest.Config{Tables: []string{"CREATE TABLE taken (order_id TEXT)"}})
//			stock := h.Handle("stock", "orders.placed", takeStock)
//			stock.BreakFor(30*time.Minute, sluicegatetest.AfterEffect.Fail(errors.New("no")))
//			stock.Deliver(message.NewMessage("order-1", nil))
//			h.Advance(31 * time.Minute)
//			h.RequireApplied(h.LedgerOf("SELECT order_id FROM taken"), "order-1")
//		})
//	}
//
// # What is real, and what is not
//
// The chain, the tables and the transactions are those of production; so is
// Watermill's router. In place of the broker stands Deliver, which does as brokers
// do: it delivers again what was not acked. In place of a relay stands Relay. Nothing sleeps.
//
// Time in this process is virtual: attempts, time-outs, parked messages,
// circuits. What the database stamps by its own clock is not: Config.Retention of a Stack
// and PublishAfter cannot be waited for by Advance. The Stack does not remove what is over
// (Retain.Off).
//
// # The database
//
// The package links no SQL driver. It uses the driver of the name "sqlite" that the test
// has imported, modernc.org/sqlite for one; give any other as Config.DB, opened in the
// bubble. SQLite has one connection here: a handler that uses Harness.DB while its
// transaction is open would wait for itself, which ends as a time-out.
//
// # Faults
//
// Deliver takes faults, one an attempt: BeforeEffect, AfterEffect and AfterCommit are the
// points, and Fail, Panic, TimeOut and Crash what happens there. Crash ends the goroutine
// as the death of its process would: the transaction is gone, nobody acks, and no layer
// of the chain hears of an error; the message is then delivered again. Duplicate and
// Together deliver it more than once without need.
//
// # The ledger
//
// A Ledger counts effects by key: those in a table (LedgerOf), or those that are made
// elsewhere and noted by Add. RequireApplied fails with the keys that were lost,
// or took effect twice, or that nobody sent.
//
// # Failures
//
// What begins with Require ends the test. Messages in what it prints are told by topic, UUID, key and size;
// Config.ShowPayloads shows their bytes too.
package sluicegatetest
