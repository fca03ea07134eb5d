package recovery

import (
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/text"
)

const maxText = 512

// PanicError is a recovered panic.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine: functions, files and addresses, no data
}

// Error names the value without the stack, in at most about 512 bytes.
func (e *PanicError) Error() string { return "handler panicked: " + describe(e.Value) }

// Unwrap returns the value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

func describe(value any) string {
	switch v := value.(type) {
	case error:
		return text.Short(v.Error(), maxText)
	case string:
		return text.Short(v, maxText)
	}
	switch k := reflect.ValueOf(value).Kind(); {
	case k >= reflect.Bool && k <= reflect.Complex128:
		return fmt.Sprint(value)
	default:
		return fmt.Sprintf("a value of type %T", value)
	}
}

// Config of the middleware. There is nothing to set yet.
type Config struct{}

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine. The error is always nil for now.
func New(Config) (message.HandlerMiddleware, error) { return recoverer, nil }

func recoverer(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (out []*message.Message, err error) {
		returned := false
		defer func() {
			if returned {
				return
			}
			// panic(nil) has been a *runtime.PanicNilError since Go 1.21, so
			// that nil means Goexit.
			value := recover()
			if value == nil {
				msg.Nack()
				return
			}
			out, err = nil, &PanicError{Value: value, Stack: debug.Stack()}
		}()
		out, err = h(msg)
		returned = true
		return out, err
	}
}
