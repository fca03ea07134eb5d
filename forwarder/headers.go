package forwarder

import (
	"strings"
	"unicode/utf8"
)

// plainObject reads a flat JSON object of strings without escapes and without
// spaces, which is how Publish writes almost all of them, into out. It returns
// false for everything else, and may have put something into out by then. It
// exists because encoding/json took a fifth of the relay's time. What it finds are
// parts of b.
func plainObject(b string, out map[string]string) bool {
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' || strings.IndexByte(b, '\\') >= 0 || !utf8.ValidString(b) {
		return false
	}
	for b = b[1:]; ; b = b[1:] {
		name, rest, ok := plainString(b)
		if !ok || len(rest) == 0 || rest[0] != ':' {
			return false
		}
		value, rest, ok := plainString(rest[1:])
		if !ok || len(rest) == 0 {
			return false
		}
		out[name] = value
		if b = rest; b[0] != ',' {
			return len(b) == 1 // the last brace
		}
	}
}

// plainString reads a quoted string without escapes and returns what follows.
func plainString(b string) (s, rest string, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", "", false
	}
	n := strings.IndexByte(b[1:], '"')
	if n < 0 {
		return "", "", false
	}
	for i := 1; i <= n; i++ {
		if b[i] < ' ' {
			return "", "", false // no JSON
		}
	}
	return b[1 : n+1], b[n+2:], true
}
