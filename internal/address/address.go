// Package address reads the URLs under which people configure databases,
// brokers and stores. It finds everything that is wrong with one, says how to
// put it right, and never repeats a secret.
package address

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/internal/suggest"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Rule says what a URL may look like.
type Rule struct {
	Schemes  []string         // allowed, in lower case
	Example  string           // a whole URL to copy
	NeedHost bool             // a host must be there
	AnyHost  bool             // what stands for the host is none, but part of a path
	Params   map[string]Check // query parameters that are known
}

// Parse returns the URL, or all of its problems joined.
func Parse(raw string, r Rule) (*url.URL, error) {
	if strings.TrimSpace(raw) == "" {
		return nil, fmt.Errorf("is empty: give a URL such as %s", r.Example)
	}
	if raw != strings.TrimSpace(raw) {
		return nil, errors.New("begins or ends with a space: remove it")
	}
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, fmt.Errorf("is not a URL: write it as %s", r.Example)
	}
	var errs []error
	if !slices.Contains(r.Schemes, strings.ToLower(scheme)) {
		errs = append(errs, fmt.Errorf("scheme %q is unknown: %s", scheme, suggest.Hint(scheme, r.Schemes...)))
	}
	u, err := urlparam.Parse(raw) // never repeats a part of the password
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	if len(errs) == 0 { // with another scheme the other rules are not those that were meant
		errs = append(errs, checkHosts(u, r)...)
		errs = append(errs, checkParams(u, r.Params)...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return u, nil
}

func checkHosts(u *url.URL, r Rule) []error {
	if u.Host == "" {
		if r.NeedHost {
			return []error{fmt.Errorf("has no host: write it as %s", r.Example)}
		}
		return nil
	}
	if r.AnyHost {
		return nil
	}
	hosts, err := urlparam.Hosts(u.Host, 1)
	switch {
	case err != nil:
		return []error{err}
	case len(hosts) > 1:
		return []error{errors.New("names several hosts: give one")}
	}
	return nil
}

func checkParams(u *url.URL, known map[string]Check) []error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return []error{errors.New("has parameters that cannot be read: write them as ?name=value&name=value, with % as %25 and ; as %3B")}
	}
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	var errs []error
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		check, ok := known[k]
		switch {
		case !ok && len(known) == 0:
			errs = append(errs, fmt.Errorf("parameter %q is unknown: this URL takes none", k))
		case !ok:
			errs = append(errs, fmt.Errorf("parameter %q is unknown: %s", k, suggest.Hint(k, names...)))
		case len(query[k]) > 1:
			errs = append(errs, fmt.Errorf("parameter %q is given %d times: keep one", k, len(query[k])))
		default:
			if err := check(query.Get(k)); err != nil {
				errs = append(errs, fmt.Errorf("parameter %q %w", k, err))
			}
		}
	}
	return errs
}
