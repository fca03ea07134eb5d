package park

import (
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
)

func failureAfter(err error, d time.Duration) error { return failure.RetryAfter(err, d) }
