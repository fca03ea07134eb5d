package unavailable_test

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

// answerError is a service's own, with the status of an HTTP answer.
type answerError struct{ status int }

func (e *answerError) Error() string   { return fmt.Sprintf("the bank answered %d", e.status) }
func (e *answerError) StatusCode() int { return e.status }

func Example() {
	errMaintenance := errors.New("the bank is closed at night")
	mark, err := unavailable.New(unavailable.Config{
		Also: []func(error) bool{func(err error) bool { return errors.Is(err, errMaintenance) }},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failure := range []error{&answerError{503}, &answerError{400}, errMaintenance} {
		// On a router: router.AddMiddleware(mark), inside of a retry.
		handler := mark(func(*message.Message) ([]*message.Message, error) { return nil, failure })
		_, err = handler(message.NewMessage("1", nil))
		fmt.Printf("%v: no attempt spent: %v\n", err, errors.Is(err, unavailable.Err))
	}
	// Output:
	// the bank answered 503: no attempt spent: true
	// the bank answered 400: no attempt spent: false
	// the bank is closed at night: no attempt spent: true
}
