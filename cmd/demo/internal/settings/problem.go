package settings

import "strings"

// Problems are all that is wrong, one a line.
type Problems []string //nolint:errname // settings.Problems says what they are

func (p Problems) Error() string { return strings.Join(p, "\n") }

// note adds each problem of err, which came from the place from.
func note(p *Problems, from string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		*p = append(*p, from+": "+line)
	}
}
