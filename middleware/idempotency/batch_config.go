package idempotency

import (
	"errors"
	"fmt"
	"time"
)

// The defaults and bounds of BatchConfig.
const (
	DefaultMaxBatch = 100
	DefaultLanes    = 4
	DefaultLinger   = 2 * time.Millisecond

	maxBatch = 1000
	maxLanes = 64
)

// BatchConfig says how messages are gathered. The zero value is ready for use.
type BatchConfig struct {
	// MaxBatch is how many messages one transaction takes at most, up to 1000.
	// Default 100.
	MaxBatch int
	// Lanes is how many batches are at work at a time, up to 64, each on a
	// database connection of its own. Default 4.
	Lanes int
	// Linger is how long a batch that is not full waits for more messages while
	// another one is at work; where none is, it never waits. Default 2 ms.
	Linger time.Duration
}

func (c BatchConfig) withDefaults() BatchConfig {
	if c.MaxBatch == 0 {
		c.MaxBatch = DefaultMaxBatch
	}
	if c.Lanes == 0 {
		c.Lanes = DefaultLanes
	}
	c.Linger = or(c.Linger, DefaultLinger)
	return c
}

func (c BatchConfig) validate() error {
	var errs []error
	if c.MaxBatch < 1 || c.MaxBatch > maxBatch {
		errs = append(errs, fmt.Errorf("BatchConfig.MaxBatch: %d: use 1 to %d, or 0 for %d", c.MaxBatch, maxBatch, DefaultMaxBatch))
	}
	if c.Lanes < 1 || c.Lanes > maxLanes {
		errs = append(errs, fmt.Errorf("BatchConfig.Lanes: %d: use 1 to %d, or 0 for %d", c.Lanes, maxLanes, DefaultLanes))
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("BatchConfig.Linger: %v is negative; use a duration, or 0 for %v", c.Linger, DefaultLinger))
	}
	return errors.Join(errs...)
}
