// Package memorystore keeps idempotency records in the memory of one process.
package memorystore

import (
	"github.com/sluicegate/sluicegate/internal/idemstore/memory"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// Store keeps records in memory; it is safe for concurrent use.
type Store = memory.Store

var _ idempotency.Store = (*Store)(nil)

// New returns an empty store. Its records are gone with the process: effects
// outside of it can then be repeated. Memory is bounded by what expires: each
// record lives for the retention that the middleware asks for, and calls
// discard what is over as they go. There is no goroutine and nothing to close.
func New() *Store { return memory.New(memory.Config{}) }
