package forwarder

import (
	"errors"
	"fmt"
)

// ErrInvalidMessage is what errors.Is finds where a message, or the topic that
// it is for, cannot be stored. Such an error is permanent.
var ErrInvalidMessage = errors.New("message cannot be stored")

// MessageError says which field of which message cannot be stored.
type MessageError struct {
	Index  int    // position of the message in the call; -1 for the topic
	UUID   string // of the message, where that is what it should be
	Field  string // "topic", "uuid", "key", "metadata" or "message"
	Reason string // never holds payload or metadata values
}

func (e *MessageError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("%s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("message %d (%q): %s: %s", e.Index, e.UUID, e.Field, e.Reason)
}

// Is makes errors.Is find ErrInvalidMessage.
func (e *MessageError) Is(target error) bool { return target == ErrInvalidMessage }
