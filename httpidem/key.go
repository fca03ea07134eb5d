package httpidem

import (
	"fmt"
	"strings"
)

// maxKey is how many characters an idempotency key may have.
const maxKey = 255

// ParseKey returns the key in the values of an Idempotency-Key header. It must
// be one value: a structured-field String (RFC 9651, section 3.3.3), such as
// "8e03978e-40d5-43dd-bc93-6894a57f9324" with the quotes, without parameters; or
// the same raw, without quotes, of visible ASCII characters other than quote,
// backslash, comma and semicolon. Both forms of a key are the same key. It has 1
// to 255 characters. Anything else is an error that wraps ErrKey and does not
// repeat the header. No values at all are no key and no error.
func ParseKey(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", fmt.Errorf("%w: %d headers: send one", ErrKey, len(values))
	}
	text := strings.Trim(values[0], " \t")
	if text == "" {
		return "", fmt.Errorf("%w: it is empty", ErrKey)
	}
	key, err := text, checkRaw(text)
	if text[0] == '"' {
		key, err = unquote(text)
	}
	if err != nil {
		return "", err
	}
	if key == "" || len(key) > maxKey {
		return "", fmt.Errorf("%w: %d characters: use 1 to %d", ErrKey, len(key), maxKey)
	}
	return key, nil
}

// unquote takes a structured-field String apart.
func unquote(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if i != len(s)-1 {
				return "", fmt.Errorf("%w: text after the closing quote", ErrKey)
			}
			return string(b), nil
		case c == '\\':
			i++
			if i == len(s) || (s[i] != '"' && s[i] != '\\') {
				return "", fmt.Errorf("%w: a backslash that escapes neither quote nor backslash", ErrKey)
			}
			b = append(b, s[i])
		case c < ' ' || c > '~':
			return "", fmt.Errorf("%w: a character outside of printable ASCII", ErrKey)
		default:
			b = append(b, c)
		}
	}
	return "", fmt.Errorf("%w: the closing quote is missing", ErrKey)
}

func checkRaw(s string) error {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`"\,;`, c) >= 0 {
			return fmt.Errorf("%w: a character that a key without quotes must not have", ErrKey)
		}
	}
	return nil
}
