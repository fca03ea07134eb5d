package objectsync

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, in bytes. MaxKey is what S3 allows, MaxSegment what file systems do.
const (
	MaxEntity  = 255
	MaxKey     = 1024
	MaxSegment = 255
	maxName    = 64
)

// KeyError says why a key, or the entity that it is made of, cannot be used. It
// wraps ErrKey and does not repeat the key, which may come from a stranger.
type KeyError struct {
	Reason string
}

func (e *KeyError) Error() string { return ErrKey.Error() + ": " + e.Reason }

// Is finds ErrKey.
func (e *KeyError) Is(target error) bool { return target == ErrKey }

func badKey(format string, args ...any) error { return &KeyError{Reason: fmt.Sprintf(format, args...)} }

// CheckKey refuses what is not the same object to every store, or could leave the
// folder of one: a key must be valid UTF-8 of 1 to 1,024 bytes without control
// characters and backslashes, made of segments of 1 to 255 bytes with a "/" between
// them, none of which is "." or "..". The error is a *KeyError.
func CheckKey(key string) error {
	if err := checkText(key, MaxKey); err != nil {
		return err
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return badKey(`it begins or ends with "/", or has two in a row`)
		case segment == "." || segment == "..":
			return badKey("it has a segment %q", segment)
		case len(segment) > MaxSegment:
			return badKey("it has a segment of %d bytes, use at most %d", len(segment), MaxSegment)
		}
	}
	return nil
}

func checkText(s string, limit int) error {
	switch {
	case s == "":
		return badKey("it is empty")
	case len(s) > limit:
		return badKey("%d bytes, use at most %d", len(s), limit)
	case !utf8.ValidString(s):
		return badKey("it is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }):
		return badKey("it has a control character or a backslash")
	}
	return nil
}

// key returns the key of an entity's object.
func (s *Syncer) key(entity string) (string, error) {
	if err := checkText(entity, MaxEntity); err != nil {
		return "", fmt.Errorf("entity: %w", err)
	}
	key := s.cfg.KeyPrefix + entity + s.cfg.KeySuffix
	// The segment is to be the entity's own: ".." stays wrong before a suffix that hides it.
	for _, name := range []string{entity, key} {
		if err := CheckKey(name); err != nil {
			return "", fmt.Errorf("entity: %w", err)
		}
	}
	return key, nil
}

// entity returns whose object a key is; false where it is nobody's.
func (s *Syncer) entity(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, s.cfg.KeyPrefix)
	if !ok {
		return "", false
	}
	entity, ok := strings.CutSuffix(rest, s.cfg.KeySuffix)
	if !ok {
		return "", false
	}
	back, err := s.key(entity)
	return entity, err == nil && back == key
}
