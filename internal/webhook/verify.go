package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far a timestamp may be from now, either way.
const DefaultTolerance = 5 * time.Minute

// maxSignatures bounds the work that one request asks for.
const maxSignatures = 32

// What errors.Is finds in an error of Verify.
var (
	// ErrMissing: one of the three headers is not there.
	ErrMissing = errors.New("header of the signature is missing")
	// ErrMalformed: one of the three headers is there twice, or is not what it
	// must be.
	ErrMalformed = errors.New("header of the signature is malformed")
	// ErrExpired: the timestamp is too far in the past or in the future.
	ErrExpired = errors.New("timestamp of the request is outside of the window")
	// ErrSignature: none of the signatures is that of one of the keys.
	ErrSignature = errors.New("signature of the request is wrong")
)

// Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	tolerance time.Duration
	keys      []key
}

// NewVerifier returns a verifier with keys that begin with "whsec_" or "whpk_"; one at
// least. The timestamp of a request may be at most the tolerance away from now,
// either way; 0 is DefaultTolerance.
func NewVerifier(tolerance time.Duration, keys ...string) (*Verifier, error) {
	var errs []error
	if tolerance < 0 {
		errs = append(errs, fmt.Errorf("tolerance: %s is negative; use a duration, or 0 for %s", tolerance, DefaultTolerance))
	}
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	parsed, err := parseAll(keys, SecretPrefix, PublicPrefix)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Verifier{tolerance: tolerance, keys: parsed}, nil
}

// Verify returns the id of the message and the time of the attempt where the
// headers are those of a request with this body, byte for byte, and it was sent
// at about now. Else the error is ErrMissing, ErrMalformed, ErrExpired or
// ErrSignature, and id and time must not be believed: they are empty.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) (id string, at time.Time, err error) {
	var values [3]string
	for i, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if values[i], err = single(h, name); err != nil {
			return "", time.Time{}, err
		}
	}
	id, seconds, signatures := values[0], values[1], values[2]
	if err := CheckID(id); err != nil {
		return "", time.Time{}, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderID, err)
	}
	if at, err = parseTime(seconds); err != nil {
		return "", time.Time{}, err
	}
	if away := now.Sub(at); away > v.tolerance || -away > v.tolerance {
		return "", time.Time{}, fmt.Errorf("%w: %s away, at most %s is allowed", ErrExpired, away.Round(time.Second), v.tolerance)
	}
	if err := v.match(signatures, content(id, seconds, body)); err != nil {
		return "", time.Time{}, err
	}
	return id, at, nil
}

func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%w: %s", ErrMissing, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: %s is there %d times", ErrMalformed, name, len(values))
	}
	return values[0], nil
}

// parseTime takes the one form that Sign writes, so that nothing else is signed
// than what is read.
func parseTime(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 253402300799 || strconv.FormatInt(n, 10) != s { // the end of the year 9999
		return time.Time{}, fmt.Errorf("%w: %s is no number of seconds", ErrMalformed, HeaderTimestamp)
	}
	return time.Unix(n, 0), nil
}

// match compares each signature with each key. How long that takes tells nothing
// of the keys.
func (v *Verifier) match(signatures string, signed []byte) error {
	list := strings.Fields(signatures)
	if len(list) > maxSignatures {
		return fmt.Errorf("%w: %s has %d signatures, at most %d are looked at", ErrMalformed, HeaderSignature, len(list), maxSignatures)
	}
	known, right := false, false
	for _, s := range list {
		version, encoded, ok := strings.Cut(s, ",")
		if !ok {
			return fmt.Errorf("%w: %s has no version and comma before a signature", ErrMalformed, HeaderSignature)
		}
		if version != "v1" && version != "v1a" {
			continue // of a version that is to come
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("%w: %s has a signature that is not base64", ErrMalformed, HeaderSignature)
		}
		known = true
		for _, k := range v.keys {
			right = k.verify(version, signed, raw) || right
		}
	}
	switch {
	case right:
		return nil
	case !known:
		return fmt.Errorf("%w: %s has none of version v1 or v1a", ErrSignature, HeaderSignature)
	}
	return ErrSignature
}

func (k key) verify(version string, signed, signature []byte) bool {
	switch {
	case k.version() != version:
		return false
	case k.secret != nil:
		return hmac.Equal(k.mac(signed), signature)
	}
	return ed25519.Verify(k.public, signed, signature)
}

// String tells how many keys there are, and nothing of them.
func (v *Verifier) String() string { return fmt.Sprintf("verifier with %d keys", len(v.keys)) }

// GoString is String: %#v would show the keys.
func (v *Verifier) GoString() string { return v.String() }
