// Package address reads the URLs under which people configure databases,
// brokers and stores. It finds everything that is wrong with one, says how to
// put it right, and never repeats a secret.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// Rule says what a URL may look like.
type Rule struct {
	Schemes  []string         // allowed, in lower case
	Example  string           // a whole URL to copy
	NeedHost bool             // a host must be there
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
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own message repeats parts of the password.
		return nil, errors.Join(append(errs, errors.New("cannot be read as a URL: in a user name or password write "+
			"@ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25; a port is a number"))...)
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		errs = append(errs, errors.New("has a #, and what follows it would be dropped: in a password write # as %23"))
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
	var errs []error
	if r.NeedHost && u.Hostname() == "" {
		errs = append(errs, fmt.Errorf("has no host: write it as %s", r.Example))
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			errs = append(errs, fmt.Errorf("port %s does not exist: use 1 to 65535", p))
		}
	}
	if h := u.Hostname(); strings.Contains(h, ":") && net.ParseIP(strings.SplitN(h, "%", 2)[0]) == nil {
		errs = append(errs, errors.New("host is no IPv6 address: write it in brackets, such as [::1]"))
	}
	return errs
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
