package header

import (
	"errors"
	"time"
)

// ErrExpiry says that a message's time of expiry cannot be read.
var ErrExpiry = errors.New(ExpiresAt + " is not a time in RFC 3339")

// FormatExpiry writes a time as ExpiresAt holds it.
func FormatExpiry(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// Expiry returns the time after which a message with this metadata is not to be
// handled; zero where it has none. ErrExpiry comes with the zero time.
func Expiry(metadata map[string]string) (time.Time, error) {
	v := metadata[ExpiresAt]
	if v == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, ErrExpiry // the parser's own would quote the value
	}
	return at, nil
}

// Expired reports whether a message with this metadata is over at now. What
// cannot be read never ends.
func Expired(metadata map[string]string, now time.Time) bool {
	at, err := Expiry(metadata)
	return err == nil && !at.IsZero() && !now.Before(at)
}
