package idemstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxKey is how many bytes a handler's name, and a key's ID as it is stored,
// may have: what the inbox table holds.
const MaxKey = 255

// maxShort is how many bytes a token or a fingerprint may have.
const maxShort = 64

// minTerm is the finest that every store's clock can tell.
const minTerm = time.Millisecond

const hashed = "sha256:"

// Normalize returns k as every store keeps it: an ID that is too long, or is
// not plain text to every database, is replaced by "sha256:" and its hash.
// What Normalize returned stays as it is, so callers may pass either form. An
// empty part, or a handler that cannot be stored, is ErrInvalid.
func (k Key) Normalize() (Key, error) {
	switch {
	case k.Handler == "":
		return Key{}, fmt.Errorf("%w: key without a handler", ErrInvalid)
	case len(k.Handler) > MaxKey || !plain(k.Handler):
		return Key{}, fmt.Errorf("%w: handler of %d bytes: use valid UTF-8 without NUL of at most %d bytes", ErrInvalid, len(k.Handler), MaxKey)
	case k.ID == "":
		return Key{}, fmt.Errorf("%w: key without an ID", ErrInvalid)
	}
	if len(k.ID) > MaxKey || !plain(k.ID) {
		sum := sha256.Sum256([]byte(k.ID))
		k.ID = hashed + hex.EncodeToString(sum[:])
	}
	return k, nil
}

// CheckTerm checks a lease or a retention.
func CheckTerm(what string, d time.Duration) error {
	if d < minTerm {
		return fmt.Errorf("%w: %s of %v: use at least %v", ErrInvalid, what, d, minTerm)
	}
	return nil
}

// plain reports whether every database can hold s as it is.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return utf8.ValidString(s) && !strings.Contains(s, "\x00")
		case c == 0:
			return false
		}
	}
	return true
}

// Normalize checks c and returns it with its key normalized.
func (c Claim) Normalize() (Claim, error) {
	k, err := c.Key.Normalize()
	if err != nil {
		return Claim{}, err
	}
	c.Key = k
	switch {
	case c.Token == "" || !short(c.Token):
		return Claim{}, fmt.Errorf("%w: token of %d bytes: use 1 to %d", ErrInvalid, len(c.Token), maxShort)
	case !short(c.Fingerprint):
		return Claim{}, fmt.Errorf("%w: fingerprint of %d bytes: use at most %d", ErrInvalid, len(c.Fingerprint), maxShort)
	case c.Lease < minTerm:
		return Claim{}, CheckTerm("lease", c.Lease)
	case c.Retention < 0 || c.Attempt < 0:
		return Claim{}, fmt.Errorf("%w: retention %v, attempt %d: must not be negative", ErrInvalid, c.Retention, c.Attempt)
	}
	return c, nil
}

func short(s string) bool { return len(s) <= maxShort && plain(s) }

// Validate checks that t can be asked for.
func (t Transition) Validate() error {
	switch {
	case len(t.From) == 0:
		return fmt.Errorf("%w: transition from no state", ErrInvalid)
	case !slices.Contains([]State{Released, Parked, Dead}, t.To):
		return fmt.Errorf("%w: transition to %q: use released, parked or dead", ErrInvalid, t.To)
	case t.Retention < 0 || t.Epoch < 0:
		return fmt.Errorf("%w: transition with retention %v, epoch %d: must not be negative", ErrInvalid, t.Retention, t.Epoch)
	}
	return nil
}
