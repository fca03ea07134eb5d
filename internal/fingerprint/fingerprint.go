// Package fingerprint tells which error texts are one error: those that differ
// in nothing but the values in them.
//
// Normalize applies these rules, from left to right, each at the first place
// where it fits:
//
//	"…"  '…'  `…`  «…»  “…”  ‘…’                        ?
//	a UUID                                               <uuid>
//	a URL: http://host/path                              http://<addr>
//	an IP address, or a host, with or without a port     <addr>
//	an e-mail address                                    <addr>
//	a word of letters and digits of 8 characters or more,
//	or one of hexadecimal digits of 8 or more, or 0x…    <id>
//	digits, with their sign, fraction and separators     <n>
//	white space                                          one space
//
// Letters joined to digits stay ("v2" is "v<n>", "order-17" is "order-<n>"). An
// apostrophe between two letters opens no quotation. A number that says which
// error it is stays as it is: one after SQLSTATE, HTTP, status, code, error or
// errno. Only the first 1024 bytes count.
//
// A change of the rules makes new groups, and old letters stay in theirs.
package fingerprint

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/text"
)

// Size is the length of what Of returns.
const Size = 16

// maxText bounds the work, and how far down two long texts must be alike.
const maxText = 1024

// Of returns the fingerprint of an error text: 16 hexadecimal digits. Two texts
// that normalize alike have the same.
func Of(s string) string {
	sum := sha256.Sum256([]byte(Normalize(s)))
	return hex.EncodeToString(sum[:Size/2])
}

// Valid reports whether s has the form of a fingerprint.
func Valid(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == Size && strings.ToLower(s) == s
}

// rule is what to put for what a pattern finds at the place that is looked at.
type rule struct {
	pattern *regexp.Regexp
	word    string
	begins  bool // only where no letter or digit is before it
}

var rules = []rule{
	{regexp.MustCompile(`^"(?:[^"\\]|\\.)*"|^` + "`[^`]*`" + `|^«[^»]*»|^“[^”]*”|^‘[^’]*’`), "?", false},
	{regexp.MustCompile(`^'(?:[^'\\]|\\.)*'`), "?", true},
	{regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`), "<uuid>", true},
	{regexp.MustCompile(`^[0-9A-Za-z._%+-]+@[0-9A-Za-z.-]+\.[A-Za-z]{2,}\b`), "<addr>", true},
	{regexp.MustCompile(`^\[[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:%\w+)?\](?::\d+)?`), "<addr>", false},
	{regexp.MustCompile(`^(?:[0-9a-fA-F]{1,4}:){3,7}(?::?[0-9a-fA-F]{1,4})\b|^(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4})?\b`), "<addr>", true},
	{regexp.MustCompile(`^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?(?:/\d+)?\b`), "<addr>", true},
	{regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?:\d{2,5}\b`), "<addr>", true},
	{regexp.MustCompile(`^0[xX][0-9a-fA-F]+\b`), "<id>", true},
}

var (
	link    = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"'<>)\]]+`)
	telling = regexp.MustCompile(`(?i)^((?:SQLSTATE|HTTP(?:/[\d.]+)?|status(?: ?code)?|code|error|errno)[ :=(#\[]{0,3})([0-9A-Za-z]{1,6})\b`)
	word    = regexp.MustCompile(`^[0-9A-Za-z_]+`)
	number  = regexp.MustCompile(`^[+-]?\d+(?:[.,:_]\d+)*`)
	digit   = regexp.MustCompile(`\d`)
	letters = regexp.MustCompile(`[A-Za-z]`)
	hexa    = regexp.MustCompile(`^[0-9a-fA-F]+$`)
)

// longWord is how long a word of letters and digits is at least that is an id.
const longWord = 8

// Normalize returns s without the values in it.
func Normalize(s string) string {
	s = text.Clean(s)
	if len(s) > maxText {
		s = text.Short(s, maxText)
	}
	var b strings.Builder
	before := ' '
	for len(s) > 0 {
		taken, put := next(s, before)
		b.WriteString(put)
		before, _ = utf8.DecodeLastRuneInString(s[:taken])
		s = s[taken:]
	}
	return strings.TrimSpace(b.String())
}

// next returns how many bytes of s are replaced by what.
func next(s string, before rune) (int, string) {
	if r, size := utf8.DecodeRuneInString(s); unicode.IsSpace(r) {
		n := size
		for n < len(s) {
			r, size := utf8.DecodeRuneInString(s[n:])
			if !unicode.IsSpace(r) {
				break
			}
			n += size
		}
		return n, " "
	}
	begins := !unicode.IsLetter(before) && !unicode.IsDigit(before)
	for _, r := range rules {
		if r.begins && !begins {
			continue
		}
		if found := r.pattern.FindString(s); found != "" {
			return len(found), r.word
		}
	}
	if begins {
		if taken, put := token(s); taken > 0 {
			return taken, put
		}
	}
	if found := number.FindString(s); found != "" {
		if !begins && (found[0] == '-' || found[0] == '+') {
			return 1, found[:1] // a hyphen, as in order-17
		}
		return len(found), "<n>"
	}
	_, size := utf8.DecodeRuneInString(s)
	return size, s[:size]
}

// token judges what begins like a word.
func token(s string) (int, string) {
	if m := link.FindStringSubmatch(s); m != nil {
		return len(m[0]), m[1] + "<addr>"
	}
	if m := telling.FindStringSubmatch(s); m != nil && digit.MatchString(m[2]) {
		return len(m[0]), m[0]
	}
	w := word.FindString(s)
	if len(w) < longWord || !digit.MatchString(w) {
		return 0, ""
	}
	if hexa.MatchString(w) && letters.MatchString(w) || mixed(w) {
		return len(w), "<id>"
	}
	return 0, ""
}

// mixed reports whether digits stand among the letters of w, rather than before
// or behind them all: "7f3kQ9xy" is an id, and "handler12" is a name with a number.
func mixed(w string) bool {
	changes, last := 0, false
	for i, r := range w {
		is := unicode.IsDigit(r)
		if i > 0 && is != last {
			changes++
		}
		last = is
	}
	return changes > 1
}
