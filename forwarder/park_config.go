package forwarder

import (
	"errors"
	"fmt"
	"time"
)

// ParkConfig says how a relay goes on with a message that the broker, being there,
// has refused RelayConfig.MaxAttempts times. The zero value parks it: it leaves the
// outbox for the table sluicegate_task, so that what is behind it goes on, and
// enters again, as a new row, each time that it is due, for one attempt. After the
// last one it is set aside, with status "failed". A message that the broker refuses for
// good is set aside at once.
type ParkConfig struct {
	// Off sets the message aside after MaxAttempts.
	Off bool
	// Attempts is how many are made in all, MaxAttempts included, of which it
	// must be more. Default MaxAttempts + 40.
	Attempts int
	// First is the time from the last of MaxAttempts to the next attempt, Every
	// that between the ones after. Where the broker asks for more, by a
	// RetryAfter, it gets it. At least 1 ms. Default 4 min and 1 min.
	First, Every time.Duration
	// Hold keeps the order of a key: the message stays in the outbox, and later ones
	// of its key wait behind it. A relay that takes its shard over
	// tries it at once. Default: what is behind it goes on, and it comes late.
	Hold bool
}

func (c ParkConfig) withDefaults(most int) (ParkConfig, error) {
	var errs []error
	switch {
	case c.Attempts == 0:
		c.Attempts = most + 40
	case c.Attempts <= most && !c.Off:
		errs = append(errs, fmt.Errorf("RelayConfig.Park.Attempts: %d is not more than MaxAttempts (%d); use Off to park nothing", c.Attempts, most))
	}
	for _, d := range []struct {
		name  string
		field *time.Duration
		def   time.Duration
	}{{"First", &c.First, 4 * time.Minute}, {"Every", &c.Every, time.Minute}} {
		switch {
		case *d.field == 0:
			*d.field = d.def
		case *d.field < time.Millisecond || *d.field > MaxDelay:
			errs = append(errs, fmt.Errorf("RelayConfig.Park.%s: %v is not in 1ms to %v", d.name, *d.field, MaxDelay))
		}
	}
	return c, errors.Join(errs...)
}

// delay returns the wait after so many attempts.
func (c ParkConfig) delay(attempts, most int) time.Duration {
	if attempts <= most {
		return c.First
	}
	return c.Every
}
