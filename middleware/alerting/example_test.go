package alerting_test

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/middleware/alerting"
)

// printer is an alert.Emitter; a service uses an *alert.Notifier.
type printer struct{}

func (printer) Emit(a alert.Alert) { fmt.Println(a.Severity, a.Name+":", a.Reason) }

func Example() {
	tell, err := alerting.New(printer{}, alerting.Config{Severity: alert.Critical})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(tell, …), outside of everything else.
	handler := tell(func(*message.Message) ([]*message.Message, error) {
		return nil, errors.New("no such product")
	})
	_, err = handler(message.NewMessage("1", nil))
	fmt.Println("passed on:", err)
	// Output:
	// critical message_failed: no such product
	// passed on: no such product
}
