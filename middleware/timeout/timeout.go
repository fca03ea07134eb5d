package timeout

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// Default is the deadline where none is configured.
const Default = 30 * time.Second

// ErrTimeout is what errors.Is finds in a time-out that this middleware
// imposed, both in its error and in context.Cause of the handler's context.
var ErrTimeout = failure.ErrTimeout

// Error is the handler's error after the deadline.
type Error struct {
	After time.Duration // the configured time
	Err   error         // what the handler returned
}

func (e *Error) Error() string { return fmt.Sprintf("%v after %s: %v", ErrTimeout, e.After, e.Err) }

// Unwrap returns ErrTimeout and the handler's error. An error marked as the
// absence of a dependency is not among them: our deadline cut the call off,
// and that is an attempt.
func (e *Error) Unwrap() []error {
	if failure.IsUnavailable(e.Err) {
		return []error{ErrTimeout}
	}
	return []error{ErrTimeout, e.Err}
}

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// Timeout is how long one call of the handler may take. Default 30 s.
	Timeout time.Duration
}

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine.
func New(cfg Config) (message.HandlerMiddleware, error) {
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("configure timeout: Config.Timeout: %s is negative; use a duration, or 0 for %s", cfg.Timeout, Default)
	}
	limit := cfg.Timeout
	if limit == 0 {
		limit = Default
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			return call(msg, h, limit)
		}
	}, nil
}

func call(msg *message.Message, h message.HandlerFunc, limit time.Duration) ([]*message.Message, error) {
	entry := msg.Context()
	// A cause of its own for each call tells our deadline from one further in.
	cause := &deadline{limit}
	ctx := delivery.WithTimeout(entry, limit, cause)
	msg.SetContext(ctx)
	defer func() {
		ctx.Cancel(context.Canceled)
		msg.SetContext(entry)
	}()
	out, err := h(msg)
	if err != nil && context.Cause(ctx) == error(cause) { //nolint:errorlint // identity is the point
		return nil, &Error{After: limit, Err: err}
	}
	return out, err
}

// deadline is the cause of a context that we ended.
type deadline struct{ after time.Duration }

func (d *deadline) Error() string { return fmt.Sprintf("%v after %s", ErrTimeout, d.after) }

// Unwrap returns ErrTimeout.
func (d *deadline) Unwrap() error { return ErrTimeout }
