package unavailable

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/outage"
)

// Err is what errors.Is finds in an error that was marked.
var Err = failure.ErrUnavailable

// StatusCoder is what an error implements that carries the status of an HTTP
// answer: 502, 503 and 504 are recognised.
type StatusCoder interface {
	error
	StatusCode() int
}

// Is reports whether err, or an error that it wraps, was marked as the absence
// of a dependency, or is recognised as one.
func Is(err error) bool { return outage.Is(err) }

// Mark marks err as the absence of a dependency. A nil err stays nil.
func Mark(err error) error { return failure.Unavailable(err) }

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// Also recognise further errors. They are asked in order about what is not
	// recognised, never about permanent errors and time-outs that we imposed,
	// and must be safe for concurrent use. Default none.
	Also []func(error) bool
	// Not says which errors are failures all the same, though they would be
	// recognised. It is asked first, but not about errors marked by Mark.
	// Default none.
	Not func(error) bool
}

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine.
func New(cfg Config) (message.HandlerMiddleware, error) {
	var errs []error
	cfg.Also = append([]func(error) bool(nil), cfg.Also...)
	for i, f := range cfg.Also {
		if f == nil {
			errs = append(errs, fmt.Errorf("configure unavailable: Config.Also[%d]: is nil", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			ctx := msg.Context() // an inner layer may leave another one behind
			out, err := h(msg)
			if err == nil || failure.IsUnavailable(err) || ctx.Err() != nil || !cfg.away(err) {
				return out, err
			}
			return nil, failure.Unavailable(err)
		}
	}, nil
}

func (c *Config) away(err error) bool {
	if failure.IsPermanent(err) || errors.Is(err, failure.ErrTimeout) {
		return false
	}
	if c.Not != nil && c.Not(err) {
		return false
	}
	if outage.Is(err) {
		return true
	}
	for _, also := range c.Also {
		if also(err) {
			return true
		}
	}
	return false
}
