package header

import (
	"errors"
	"time"
)

// What cannot be read.
var (
	ErrExpiry    = errors.New(ExpiresAt + " is not a time in RFC 3339")
	ErrAvailable = errors.New(AvailableAt + " is not a time in RFC 3339")
)

// FormatTime writes a time as ExpiresAt and AvailableAt hold it.
func FormatTime(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// Expiry returns the time after which a message with this metadata is not to be
// handled; zero where it has none. ErrExpiry comes with the zero time.
func Expiry(metadata map[string]string) (time.Time, error) {
	return read(metadata[ExpiresAt], ErrExpiry)
}

// Available returns the time before which a message with this metadata is not to
// leave; zero where it has none. ErrAvailable comes with the zero time.
func Available(metadata map[string]string) (time.Time, error) {
	return read(metadata[AvailableAt], ErrAvailable)
}

func read(v string, bad error) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, bad // the parser's own error would quote the value
	}
	return at, nil
}

// Expired reports whether a message with this metadata is over at now. What
// cannot be read never ends.
func Expired(metadata map[string]string, now time.Time) bool {
	at, err := Expiry(metadata)
	return err == nil && !at.IsZero() && !now.Before(at)
}
