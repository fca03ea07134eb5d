// Package urlparam reads connection URLs: it parses them without ever putting
// a user name, a password or an unknown value into an error, and reads their
// query so that every problem is reported together.
package urlparam

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Parse splits raw into its parts. Unlike url.Parse it accepts several hosts
// with ports, separated by commas, and its errors never quote raw.
func Parse(raw string) (*url.URL, error) {
	if strings.TrimSpace(raw) == "" {
		return nil, errors.New("the URL is empty")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("the URL has a control character")
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !validScheme(scheme) {
		return nil, errors.New("the URL has no scheme: it must begin like memory:// or kafka://")
	}
	if strings.Contains(rest, "#") {
		return nil, errors.New(`the URL has a "#": in a user name, password or value write it as %23`)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, slash := strings.Cut(rest, "/")
	if strings.Contains(path, "@") {
		return nil, errors.New(`the URL has an "@" after its host: in a user name or password write "/" as %2F`)
	}
	u := &url.URL{Scheme: strings.ToLower(scheme), RawQuery: query}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, err := userinfo(authority[:at])
		if err != nil {
			return nil, err
		}
		u.User, authority = user, authority[at+1:]
	} else if i := strings.LastIndex(authority, ":"); i >= 0 && strings.Contains(query, "@") && !isPort(authority[i+1:]) {
		return nil, errors.New(`the URL has an "@" after a "?": in a user name or password write "?" as %3F`)
	}
	u.Host = authority
	if slash {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return nil, errors.New("the URL's path has a broken %-escape")
		}
		u.Path, u.RawPath = "/"+decoded, "/"+path
	}
	return u, nil
}

func validScheme(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

func userinfo(raw string) (*url.Userinfo, error) {
	if strings.Contains(raw, "@") {
		return nil, errors.New(`the URL has two "@": in a user name or password write "@" as %40, and give them once for all hosts`)
	}
	name, password, has := strings.Cut(raw, ":")
	name, err := url.PathUnescape(name)
	password, err2 := url.PathUnescape(password)
	if err != nil || err2 != nil {
		return nil, errors.New(`the URL's user name or password has a broken %-escape: write "%" as %25`)
	}
	if has {
		return url.UserPassword(name, password), nil
	}
	return url.User(name), nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535 && s[0] != '+'
}

// Hosts splits a comma-separated list of host, host:port and [IPv6]:port and
// adds defaultPort where none is given. All problems are reported together.
func Hosts(list string, defaultPort int) ([]string, error) {
	if list == "" {
		return nil, errors.New("the URL names no host")
	}
	var hosts []string
	var problems []error
	for i, item := range strings.Split(list, ",") {
		host, err := hostPort(item, defaultPort)
		if err != nil {
			problems = append(problems, fmt.Errorf("host %d: %w", i+1, err))
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts, errors.Join(problems...)
}

func hostPort(item string, defaultPort int) (string, error) {
	host, port := item, strconv.Itoa(defaultPort)
	switch {
	case item == "":
		return "", errors.New("it is empty")
	case strings.HasPrefix(item, "[") && strings.HasSuffix(item, "]"):
		host = item[1 : len(item)-1]
	case strings.HasPrefix(item, "["), strings.Count(item, ":") == 1:
		var err error
		if host, port, err = net.SplitHostPort(item); err != nil {
			return "", errors.New("it is not host:port")
		}
	case strings.Contains(item, ":"):
		return "", errors.New("an IPv6 address must stand in brackets, as in [::1]:9092")
	}
	if host == "" {
		return "", errors.New("its name is empty")
	}
	if strings.ContainsAny(host, " \t/\\%\"'<>") {
		return "", errors.New("its name has a character that no host name has")
	}
	if !isPort(port) {
		return "", errors.New("its port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}
