// Package callbacktest holds what package callback promises on every database: a
// service that is slow, away, early, doubled, late, forged or silent, on virtual time,
// with one and two nodes.
package callbacktest
