package sqlqueue

import (
	"errors"
	"maps"
	"net/url"
	"slices"

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Own reads the parameters of a URL that are the SQL driver's, and returns the
// URL with them alone.
func Own(u *url.URL, q *urlparam.Query, params map[string]address.Check) *url.URL {
	own := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		v, given := q.Lookup(name)
		if !given || v == "" {
			continue
		}
		if err := params[name](v); err != nil {
			q.Problem(name, "%w", err)
			continue
		}
		own.Set(name, v)
	}
	c := *u
	c.RawQuery = own.Encode()
	return &c
}

// Problems joins what is wrong with a server's URL: its host and port, and what
// the package of its SQL driver found.
func Problems(u *url.URL, q *urlparam.Query, found []error) error {
	var problems []error
	if u.Host != "" {
		hosts, err := urlparam.Hosts(u.Host, 1)
		problems = append(problems, err)
		if len(hosts) > 1 {
			problems = append(problems, errors.New("the URL names several hosts: give one"))
		}
	}
	for _, err := range found {
		problems = append(problems, prefixed{err})
	}
	return errors.Join(append(problems, q.Err())...)
}

// prefixed makes a sentence of an error that begins with a verb.
type prefixed struct{ error }

func (p prefixed) Error() string { return "the URL " + p.error.Error() }
func (p prefixed) Unwrap() error { return p.error }
