package settings

import "strings"

// Problems are all that is wrong, one a line.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

// add reports each problem of err, which came from the place from.
func (p *Problems) add(from string, err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		*p = append(*p, from+": "+line)
	}
}
