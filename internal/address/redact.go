package address

import (
	"net/url"
	"slices"
	"strings"
)

var secretWords = []string{"password", "passwd", "passphrase", "secret", "token", "seed", "jwt"}

// SecretParam reports whether, by its name, a parameter holds a secret, and not
// the path of a file that does.
func SecretParam(name string) bool {
	name = strings.ToLower(name)
	return !strings.HasSuffix(name, "_file") &&
		slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) })
}

// Redact returns raw without what may be secret in it, fit for a log or a
// message. It also takes what cannot be parsed.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || strings.Contains(raw, "#") {
		return redactText(raw)
	}
	if u.User == nil && u.RawQuery == "" {
		return raw
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), "***")
	} else if u.User != nil && strings.EqualFold(u.Scheme, "nats") {
		u.User = url.User("***") // a name alone is a token there
	}
	if u.RawQuery != "" {
		q := u.Query()
		for k := range q {
			if SecretParam(k) {
				q.Set(k, "***")
			}
		}
		u.RawQuery = q.Encode()
	}
	return strings.ReplaceAll(u.String(), "%2A%2A%2A", "***")
}

// redactText keeps the scheme, and the rest only where no user can be in it.
func redactText(raw string) string {
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return "***"
	}
	return scheme + "://***"
}
