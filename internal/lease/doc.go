// Package lease shares a fixed number of parts fairly among processes, by rows
// in a table and the database's clock.
//
// A part is owned through a row with owner, fencing number and expiry. Whoever
// finds it expired takes it and raises the number, so that the former owner,
// frozen meanwhile, can be told from the present one: Verify compares owner and
// number inside the transaction that depends on them, holding the rows so that
// nobody can take them before it has committed.
//
// Members show that they live by a row of their own. Each aims at its fair
// part of the whole, rounded up, gives back what it has beyond that as soon as
// it is not in use, and takes what is free.
package lease
