package template

import (
	"encoding/json"
	"sort"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/text"
)

// Limit is how long a text may be. The zero value is no limit.
type Limit struct {
	Max  int              // 0: no limit
	Size func(string) int // what Max counts; default Bytes
}

func (l Limit) withDefaults() Limit {
	if l.Size == nil {
		l.Size = Bytes
	}
	return l
}

// Bytes counts bytes of UTF-8.
func Bytes(s string) int { return len(s) }

// UTF16 counts what a short message counts outside of its 7-bit alphabet: a
// character beyond the basic plane is two.
func UTF16(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// JSON counts the bytes of s inside the quotes of a JSON string.
func JSON(s string) int {
	b, err := json.Marshal(s)
	if err != nil { // a string always encodes
		return len(s)
	}
	return len(b) - 2
}

func (l Limit) fits(s string) bool { return l.Max <= 0 || l.Size(s) <= l.Max }

// cut returns the longest beginning of s that fits together with a mark.
func (l Limit) cut(s string) string {
	s = text.Clean(s)
	const mark = "…"
	// Where the runes end: Size grows along them.
	var ends []int
	for i := range s {
		ends = append(ends, i)
	}
	suffix := mark
	if !l.fits(mark) {
		suffix = ""
	}
	n := sort.Search(len(ends), func(i int) bool { return !l.fits(s[:ends[i]] + suffix) })
	if n == 0 {
		return ""
	}
	return s[:ends[n-1]] + suffix
}

// Cut returns s as it is where it fits in limit, and else the longest beginning
// that fits together with "…"; never a part of a rune.
func Cut(s string, limit Limit) string {
	limit = limit.withDefaults()
	if utf8.ValidString(s) && limit.fits(s) {
		return s
	}
	if s = text.Clean(s); limit.fits(s) {
		return s
	}
	return limit.cut(s)
}
