package circuit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

// ErrOpen says that a message did not run because a circuit is open. The error
// is an *OpenError and marked as unavailable: no attempt was made.
var ErrOpen = errors.New("circuit is open")

// OpenError is ErrOpen with what is known.
type OpenError struct {
	Handler    string    // consumer and handler, as in the inbox
	Dependency string    // empty: the handler as a whole
	Since      time.Time // when the circuit opened
	Next       time.Time // when the next probe is due; it may have passed
	Err        error     // why the wait ended early: the cause of the message's context; nil: MaxWait
}

func (e *OpenError) Error() string {
	text := fmt.Sprintf("%v: handler %q", ErrOpen, e.Handler)
	if e.Dependency != "" {
		text += fmt.Sprintf(", dependency %q", e.Dependency)
	}
	text += ", since " + e.Since.UTC().Format(time.RFC3339)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns ErrOpen, and Err where it is set.
func (e *OpenError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrOpen}
	}
	return []error{ErrOpen, e.Err}
}

// dependencyError names the dependency that failed.
type dependencyError struct {
	name string
	err  error
}

func (e *dependencyError) Error() string { return e.err.Error() }
func (e *dependencyError) Unwrap() error { return e.err }

// Dependency marks err as a failure of the dependency of that name, such as
// "crm": it counts for the circuit of handler and dependency instead of for the
// handler's own. errors.Is and errors.As see through the mark; a nil err stays
// nil. Names must be few and constant: past 256 of a handler, further ones count
// for the handler's own circuit.
func Dependency(err error, name string) error {
	if err == nil {
		return nil
	}
	return &dependencyError{name: name, err: err}
}

// Uses notes on the message's context that its attempt turns to the dependency
// of that name now: a failure from here on, a time-out too, counts for it unless
// Dependency names another one, and a success of the attempt counts for all that
// were used. It does nothing on a context that is not a message's.
func Uses(ctx context.Context, name string) { delivery.From(ctx).Use(name) }
