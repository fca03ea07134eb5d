// Package failure holds the words that every layer uses to say what kind of
// failure an error is: permanent (another attempt cannot help), wanting a
// delay of its own, or unavailable (a dependency could not be reached, so no
// attempt has been made at all).
//
// The words are marks around an error. errors.Is and errors.As see through
// them, and the message stays the one of the error that was marked.
package failure

import (
	"errors"
	"time"
)

// ErrPermanent is what errors.Is finds in an error marked by Permanent.
var ErrPermanent = errors.New("permanent failure")

// ErrUnavailable is what errors.Is finds in an error marked by Unavailable.
var ErrUnavailable = errors.New("dependency unavailable")

// ErrTimeout is what errors.Is finds in a time-out that we imposed on a handler.
// It is an attempt like any other, whatever the handler made of it: never the
// absence of a dependency.
var ErrTimeout = errors.New("handler timed out")

// ErrBusy is what errors.Is finds where another delivery of the same key is at
// work: it says nothing about the message, nor about a dependency.
var ErrBusy = errors.New("another delivery of this key is being handled")

type mark struct {
	err  error
	kind error
}

func (m *mark) Error() string        { return m.err.Error() }
func (m *mark) Unwrap() error        { return m.err }
func (m *mark) Is(target error) bool { return target == m.kind }

// Permanent marks err as one that another attempt cannot cure. A nil err
// stays nil.
func Permanent(err error) error { return wrap(err, ErrPermanent) }

// Unavailable marks err as the absence of a dependency: it spends no attempt,
// and the message goes back to the broker instead of to the dead letters. A
// nil err stays nil.
func Unavailable(err error) error { return wrap(err, ErrUnavailable) }

func wrap(err, kind error) error {
	if err == nil {
		return nil
	}
	return &mark{err: err, kind: kind}
}

// IsPermanent reports whether err, or an error that it wraps, was marked by
// Permanent.
func IsPermanent(err error) bool { return errors.Is(err, ErrPermanent) }

// IsUnavailable reports whether err, or an error that it wraps, was marked by
// Unavailable.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }

// DelayError carries the delay that the failing side asked for.
type DelayError struct {
	Err   error
	Delay time.Duration
}

func (e *DelayError) Error() string { return e.Err.Error() }

// Unwrap returns the error that was delayed.
func (e *DelayError) Unwrap() error { return e.Err }

// RetryAfter marks err with the delay to keep before the next attempt. A nil
// err stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &DelayError{Err: err, Delay: d}
}

// Delay returns the delay that err asks for, if any.
func Delay(err error) (time.Duration, bool) {
	var d *DelayError
	if errors.As(err, &d) {
		return d.Delay, true
	}
	return 0, false
}
