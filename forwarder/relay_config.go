package forwarder

import (
	"errors"
	"fmt"
	"time"
)

// MaxLanes is the highest number of lanes of one relay.
const MaxLanes = 4

// RelayConfig configures a Relay. The zero value is ready for use. Zero in a
// field is its default; negative values are errors.
type RelayConfig struct {
	// BatchSize is how many messages one lane reads, publishes and settles at
	// once, at most, and so how many a crash may repeat. A lane begins with 500
	// and doubles while full batches take less than 100 ms, and halves where they
	// take more than a second. Default 2000, and 300 on SQLite, where whoever else
	// writes waits for each read and settling; at most 10000.
	BatchSize int
	// BatchBytes ends a batch early, in bytes of payload, metadata and key.
	// Default 16 MiB.
	BatchBytes int
	// Lanes is how many batches of disjoint keys are under way at once.
	// Default 2, at most 4.
	Lanes int
	// Concurrency is how many messages, each of another key, one lane publishes
	// at once where the publisher takes no batches. Default 32.
	Concurrency int

	// Lease is how long a relay owns its shards without renewing: what it takes
	// others to go on after a crash. Default 15 s, at least 100 ms.
	Lease time.Duration
	// PublishTimeout is the deadline of publishing one batch. It must be
	// shorter than Lease. What is not acknowledged by then is published again.
	// Default two thirds of Lease.
	PublishTimeout time.Duration
	// StopTimeout is how long the batch under way may go on after the context
	// has ended, and then how long settling it and giving the shards back may
	// take. Default 5 s.
	StopTimeout time.Duration

	// PollMin and PollMax bound the wait between two looks at a table that had
	// nothing to send: PollMin for a second after the last message, then doubling.
	// Outbox.Wake cuts it short. While Config.Signal is heard it is PollMax.
	// Default 6 ms and 250 ms.
	PollMin, PollMax time.Duration

	// Linger is the shortest time from a look that has found less than a whole
	// batch to the next: messages that keep coming are carried in fewer and larger
	// batches. It delays none that comes alone. Default 5 ms.
	Linger time.Duration

	// MaxAttempts is how often a message is refused by a broker that proved
	// reachable before it is parked. Default 10.
	MaxAttempts int
	// Park says when it is tried again, and when it is set aside.
	Park ParkConfig
	// RetryMin and RetryMax bound the wait before a message, or a broker that
	// is away, is tried again: it begins at RetryMin and doubles, with jitter.
	// Default 100 ms and 15 s.
	RetryMin, RetryMax time.Duration

	// FloorLag is how long a transaction may stay open after Publish with its
	// messages still found in their order. Reading starts above the ids that
	// were read longer ago than this. Default 1 min. It is MySQL's: PostgreSQL
	// tells which transactions are still open, however long (20 ms at most are
	// used there), and SQLite has one writer at a time.
	FloorLag time.Duration
	// Sweep is how often the whole table is looked at for messages whose
	// transaction stayed open longer than FloorLag. Default 10 s.
	Sweep time.Duration

	// Retain is how long delivered and expired messages are kept in the history table.
	// Default 24 h.
	Retain time.Duration
	// RetainFailed is how long messages that were set aside are kept there.
	// Default 30 days.
	RetainFailed time.Duration
	// NoHistory deletes delivered messages instead of keeping them for Retain;
	// it is the fastest. Those that expired are kept all the same, and those that were
	// set aside for RetainFailed.
	NoHistory bool

	// ClockOffset is added to the database's clock wherever leases are judged.
	// It is for tests.
	ClockOffset time.Duration
}

func (c RelayConfig) withDefaults() (RelayConfig, error) {
	var errs []error
	number := func(name string, field *int, def, high int) {
		if *field == 0 {
			*field = def
		} else if *field < 1 || *field > high {
			errs = append(errs, fmt.Errorf("RelayConfig.%s: %d is not in 1 to %d", name, *field, high))
		}
	}
	length := func(name string, field *time.Duration, def, low time.Duration) {
		if *field == 0 {
			*field = def
		} else if *field < low {
			errs = append(errs, fmt.Errorf("RelayConfig.%s: %v is less than %v", name, *field, low))
		}
	}
	number("BatchSize", &c.BatchSize, 0, 10000)
	number("BatchBytes", &c.BatchBytes, 16<<20, 1<<30)
	number("Lanes", &c.Lanes, 0, MaxLanes)
	number("Concurrency", &c.Concurrency, 32, 4096)
	number("MaxAttempts", &c.MaxAttempts, 10, 1<<20)
	length("Lease", &c.Lease, 15*time.Second, 100*time.Millisecond)
	length("PublishTimeout", &c.PublishTimeout, c.Lease*2/3, time.Millisecond)
	length("StopTimeout", &c.StopTimeout, 5*time.Second, time.Millisecond)
	length("PollMin", &c.PollMin, 6*time.Millisecond, time.Millisecond)
	length("PollMax", &c.PollMax, max(250*time.Millisecond, c.PollMin), time.Millisecond)
	length("Linger", &c.Linger, 5*time.Millisecond, time.Microsecond)
	length("RetryMin", &c.RetryMin, 100*time.Millisecond, time.Millisecond)
	length("RetryMax", &c.RetryMax, max(15*time.Second, c.RetryMin), time.Millisecond)
	length("FloorLag", &c.FloorLag, time.Minute, time.Millisecond)
	length("Sweep", &c.Sweep, 10*time.Second, time.Millisecond)
	length("Retain", &c.Retain, 24*time.Hour, time.Millisecond)
	length("RetainFailed", &c.RetainFailed, 30*24*time.Hour, time.Millisecond)
	var err error
	if c.Park, err = c.Park.withDefaults(c.MaxAttempts); err != nil {
		errs = append(errs, err)
	}
	if c.PublishTimeout >= c.Lease {
		errs = append(errs, fmt.Errorf("RelayConfig.PublishTimeout: %v must be shorter than Lease (%v)", c.PublishTimeout, c.Lease))
	}
	if c.PollMax < c.PollMin {
		errs = append(errs, fmt.Errorf("RelayConfig.PollMax: %v is less than PollMin (%v)", c.PollMax, c.PollMin))
	}
	if c.RetryMax < c.RetryMin {
		errs = append(errs, fmt.Errorf("RelayConfig.RetryMax: %v is less than RetryMin (%v)", c.RetryMax, c.RetryMin))
	}
	return c, errors.Join(errs...)
}

// suited returns c with what has another default on each kind of database.
func (c RelayConfig) suited(d Dialect) RelayConfig {
	if c.Lanes == 0 {
		c.Lanes = 2
	}
	switch {
	case c.BatchSize != 0:
	case d == SQLite:
		c.BatchSize = 300
	default:
		c.BatchSize = 2000
	}
	return c
}
