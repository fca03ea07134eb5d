package topology

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/suggest"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// shipped are the schemes of this module's drivers, imported or not: the
// options of a driver that this program lacks are no mistake. Each is given
// with the one whose options it shares.
var shipped = map[string]string{
	"memory": "memory", "kafka": "kafka", "nats": "nats",
	"redis": "redis", "rediss": "redis", "amqp": "amqp", "amqps": "amqp",
	"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql",
	"sqlite": "sqlite", "sqlite3": "sqlite",
}

// family returns the scheme whose driver options scheme takes.
func family(scheme string) string {
	if f, ok := shipped[scheme]; ok {
		return f
	}
	return scheme
}

// resolve returns the URL with password and driver options in it.
func (b Broker) resolve() (string, []error) {
	problems := b.checkSchemes()
	if strings.TrimSpace(b.URL) == "" {
		return "", append(problems, errors.New("has no url: give one, or a url_file"))
	}
	u, err := urlparam.Parse(b.URL)
	if err != nil {
		return "", append(problems, err)
	}
	raw := b.URL
	if b.Password != "" {
		if raw, err = withPassword(raw, b.Password); err != nil {
			problems = append(problems, err)
		}
	}
	given, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return raw, problems // told by the driver
	}
	add := url.Values{}
	for _, scheme := range sorted(b.DriverOptions) {
		if family(strings.ToLower(scheme)) != family(u.Scheme) {
			continue
		}
		for _, name := range sorted(b.DriverOptions[scheme]) {
			value := b.DriverOptions[scheme][name]
			switch {
			case name == "consumer_group":
				problems = append(problems, fmt.Errorf("driver_options.%s: consumer_group belongs into options", scheme))
			case add.Has(name) && add.Get(name) != value:
				problems = append(problems, fmt.Errorf("driver_options.%s: %s has another value under a scheme of the same driver: keep one", scheme, name))
			case given.Has(name) && !slices.Equal(given[name], []string{value}):
				problems = append(problems, fmt.Errorf("driver_options.%s: %s has another value in the URL: keep one", scheme, name))
			case !given.Has(name):
				add.Set(name, value)
			}
		}
	}
	return withParams(raw, add), problems
}

// checkSchemes finds schemes that no driver has.
func (b Broker) checkSchemes() []error {
	known := broker.Schemes()
	for scheme := range shipped {
		known = append(known, scheme)
	}
	var problems []error
	for _, scheme := range sorted(b.DriverOptions) {
		if !slices.Contains(known, scheme) {
			problems = append(problems, fmt.Errorf("driver_options.%s: unknown scheme: %s", scheme, suggest.Hint(scheme, known...)))
		}
	}
	return problems
}

// withParams adds to the query of raw. What stands there keeps its spelling: a
// URL that was taken apart and put together may be another one.
func withParams(raw string, add url.Values) string {
	if len(add) == 0 {
		return raw
	}
	base, query, _ := strings.Cut(raw, "?")
	if query != "" {
		query += "&"
	}
	return base + "?" + query + add.Encode()
}

// withPassword adds a password to the user of raw.
func withPassword(raw, password string) (string, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	user, hosts := "", rest[:end]
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		user, hosts = hosts[:at], hosts[at+1:]
	}
	if strings.Contains(user, ":") {
		return raw, errors.New("has a password in its URL and a password_file: keep one")
	}
	return scheme + "://" + user + url.UserPassword("", password).String() + "@" + hosts + rest[end:], nil
}
