package retry

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// ExhaustedError says that the last attempt failed too.
type ExhaustedError struct {
	Attempts int   // how many were made, those before a resumed delivery included
	Err      error // the last one's error
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("failed after %d attempts: %v", e.Attempts, e.Err)
}

// Unwrap returns the last attempt's error.
func (e *ExhaustedError) Unwrap() error { return e.Err }

// Permanent marks err as one that another attempt cannot cure: no further
// attempt is made. errors.Is and errors.As see through the mark; a nil err
// stays nil.
func Permanent(err error) error { return failure.Permanent(err) }

// Unavailable marks err as the absence of a dependency: the attempt does not
// count, and the message goes back to the broker instead of to the dead
// letters. A nil err stays nil.
func Unavailable(err error) error { return failure.Unavailable(err) }

// RetryAfter marks err with the delay to keep before the next attempt instead
// of the backoff's own, without jitter, and at most Config.Max. A nil err stays
// nil.
func RetryAfter(err error, d time.Duration) error { return failure.RetryAfter(err, d) }

// Attempt returns the number of the attempt that runs on ctx, the message's
// context in the handler: 1 for the first, 0 where nobody counts.
func Attempt(ctx context.Context) int { return delivery.Attempt(ctx) }
