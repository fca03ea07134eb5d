package httpsend

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Target is where requests go.
type Target struct{ url *url.URL }

// Rules are what a URL must be like.
type Rules struct {
	// Plain allows http to hosts that are not this machine. A URL that is a
	// secret itself, or comes with one, must not travel in clear.
	Plain bool
	// Query names a parameter that must be there: the token.
	Query string
	// Path says that there must be more than a host: the token is in the path.
	Path bool
}

// ParseTarget reads a URL. Errors name the field url and show nothing of it.
func ParseTarget(raw string, rules Rules) (*Target, error) {
	u, err := urlparam.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("url: its scheme must be https or http")
	}
	defaultPort := 443
	if u.Scheme == "http" {
		defaultPort = 80
	}
	if _, err := urlparam.Hosts(u.Host, defaultPort); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if strings.Contains(u.Host, ",") {
		return nil, errors.New("url: it names more than one host")
	}
	var problems []error
	if u.Scheme == "http" && (!rules.Plain || u.User != nil) && !loopback(u.Hostname()) {
		problems = append(problems, errors.New("url: it comes with a secret, so its scheme must be https"))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		problems = append(problems, errors.New(`url: its query has a broken %-escape or a ";"`))
	}
	if rules.Query != "" && strings.TrimSpace(query.Get(rules.Query)) == "" {
		problems = append(problems, fmt.Errorf("url: it has no parameter %s, which is the token", rules.Query))
	}
	if last := u.Path[strings.LastIndex(u.Path, "/")+1:]; rules.Path && last == "" {
		problems = append(problems, errors.New("url: its path does not end in a token"))
	}
	return &Target{u}, errors.Join(problems...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Plain reports whether requests travel in clear to another machine.
func (t *Target) Plain() bool { return t.url.Scheme == "http" && !loopback(t.url.Hostname()) }

// Host is the one part that may be shown.
func (t *Target) Host() string { return t.url.Host }

// Join returns the target with path added to its own.
func (t *Target) Join(path string) *Target {
	u := *t.url
	u.Path = strings.TrimRight(u.Path, "/") + path
	u.RawPath = ""
	return &Target{&u}
}

// with returns the URL with more parameters.
func (t *Target) with(query map[string]string) string {
	u := *t.url
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(query[name])
	}
	return u.String()
}

// secrets are all parts of the URL that may be one.
func (t *Target) secrets() []string {
	if t == nil {
		return nil
	}
	found := []string{t.url.String(), t.url.RequestURI(), t.url.RawQuery}
	if password, ok := t.url.User.Password(); ok {
		found = append(found, password)
	}
	if name := t.url.User.Username(); len(name) >= minToken {
		found = append(found, name)
	}
	if t.url.User != nil { // as the header has it
		password, _ := t.url.User.Password()
		found = append(found, base64.StdEncoding.EncodeToString([]byte(t.url.User.Username()+":"+password)))
	}
	for part := range strings.SplitSeq(t.url.Path, "/") {
		if len(part) >= minToken {
			found = append(found, part)
		}
	}
	for _, values := range t.url.Query() {
		for _, value := range values {
			if len(value) >= minToken {
				found = append(found, value)
			}
		}
	}
	return found
}

// minToken is the least length of what may be a token and not a word of an API's
// path, like "robot" or "services".
const minToken = 9
