package notify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Status is where a notification stands.
type Status string

// The statuses.
const (
	Waiting   Status = "waiting"   // for an attempt, or at work
	Held      Status = "held"      // its target is disabled, or is not there yet
	Delivered Status = "delivered" // the partner has answered that it has it
	Confirmed Status = "confirmed" // the partner has said so by itself
	Stopped   Status = "stopped"   // its attempts are used up
)

// Valid reports whether s is one of the five.
func (s Status) Valid() bool {
	switch s {
	case Waiting, Held, Delivered, Confirmed, Stopped:
		return true
	default:
		return false
	}
}

// What errors.Is finds in an error of this package.
var (
	// ErrInvalid: an argument cannot be used. Nothing was changed.
	ErrInvalid = errors.New("invalid notification")
	// ErrConflict: the target has another notification with this request number.
	// Nothing was changed.
	ErrConflict = errors.New("request number has another notification")
	// ErrNotFound: there is no such notification or target.
	ErrNotFound = errors.New("not found")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Notification is what a partner is to be told.
type Notification struct {
	// Target names whom; see PutTarget. One that is not there yet has it held. Required.
	Target string
	// ID is the request number, unique in the target: what the partner knows the
	// business by, such as the number of an order. Required.
	ID string
	// Type is for those who look: "order.paid". It is not sent.
	Type string
	// ContentType of the payload. Default "application/json".
	ContentType string
	// Payload is the body of the POST, as it is.
	Payload []byte
}

// maxName bounds names and numbers, in bytes.
const maxName = 255

// name returns what is wrong with a name in the field.
func name(field, s string, required bool) error {
	switch {
	case s == "" && required:
		return invalid("%s: must not be empty", field)
	case len(s) > maxName:
		return invalid("%s: %d bytes, use at most %d", field, len(s), maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return invalid("%s: use valid UTF-8 without control characters", field)
	}
	return nil
}

func (n Notification) normalize(maxPayload int) (Notification, error) {
	if n.ContentType == "" {
		n.ContentType = "application/json"
	}
	errs := []error{
		name("Notification.Target", n.Target, true), name("Notification.ID", n.ID, true), name("Notification.Type", n.Type, false),
	}
	if len(n.ContentType) > maxName || strings.ContainsFunc(n.ContentType, func(r rune) bool { return r > '~' || r < ' ' }) {
		errs = append(errs, invalid("Notification.ContentType: use up to %d printable ASCII characters", maxName))
	}
	if len(n.Payload) > maxPayload {
		errs = append(errs, invalid("Notification.Payload: %d bytes, use at most %d", len(n.Payload), maxPayload))
	}
	return n, errors.Join(errs...)
}

// hash is one number for several strings, in which no two lists of strings meet.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// uidOf is the number of a notification in the tables and, after "msg_", its
// webhook-id.
func uidOf(target, request string) string { return hash(target, request)[:32] }

func (n Notification) digest() string { return hash(n.Type, n.ContentType, string(n.Payload)) }

// Record is a notification as it stands.
type Record struct {
	Notification
	// WebhookID is the same at each attempt.
	WebhookID string
	Status    Status
	// Attempts is how many were made in all.
	Attempts int
	// NextAt is when the next attempt is due, for a Waiting one.
	NextAt time.Time
	// LastStatus is the HTTP status of the last attempt; 0 where there was no answer.
	LastStatus int
	// LastError says why the last attempt failed. Empty where it did not.
	LastError            string
	CreatedAt, UpdatedAt time.Time
	// FinishedAt is when it was delivered, confirmed or stopped; else zero.
	FinishedAt time.Time
	// ConfirmedAt is when the partner confirmed it; else zero.
	ConfirmedAt time.Time

	id    int64
	round int64
	size  int // of the payload
}

// Attempt is one POST.
type Attempt struct {
	// Number counts the attempts of a notification, from 1. Where an answer came after its
	// process had lost the notification to another, two have the same.
	Number   int
	At       time.Time
	Duration time.Duration
	// Delivered says that the partner has it.
	Delivered bool
	// Status is that of HTTP; 0 where there was no answer.
	Status int
	// Response is the beginning of the answer's body, with nothing in it that is secret.
	Response string
	// Error says why it failed.
	Error string
}
