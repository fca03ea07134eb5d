// Package text shortens what others wrote before it is stored or sent.
package text

import (
	"strings"
	"unicode/utf8"
)

// mark ends a text that was shortened.
const mark = "…"

// Short returns s as valid UTF-8 without NUL, which PostgreSQL refuses, in at
// most limit bytes. A text that was cut ends in "…", and never within a rune.
func Short(s string, limit int) string {
	if len(s) > limit {
		// Bounds the work on a huge text; what is cut off here is past the limit.
		s = cut(s, limit+utf8.UTFMax)
	}
	s = Clean(s)
	if len(s) <= limit {
		return s
	}
	if limit < len(mark) {
		return cut(s, limit)
	}
	return cut(s, limit-len(mark)) + mark
}

// Clean returns s as valid UTF-8 without NUL; what is neither becomes U+FFFD.
func Clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cut(s string, limit int) string {
	if limit >= len(s) {
		return s
	}
	if limit <= 0 {
		return ""
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
