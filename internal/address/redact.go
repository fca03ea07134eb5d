package address

import (
	"net/url"
	"slices"
	"strings"
)

var secretParams = []string{"password", "sslpassword", "passphrase", "secret", "token", "sasl_password"}

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
	}
	if u.RawQuery != "" {
		q := u.Query()
		for k := range q {
			if slices.Contains(secretParams, strings.ToLower(k)) {
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
