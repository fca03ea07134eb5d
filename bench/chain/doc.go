// Package chain measures what consuming costs: the whole chain of a Stack
// against the stock middlewares of Watermill, claims in Redis, and the batch
// handler against a transaction a message. Every function alternates what it
// compares and returns the median of three runs of each, in messages a second.
package chain
