package email

import (
	"errors"
	"slices"

	"github.com/wneessen/go-mail/smtp"
)

var (
	errNoAuth      = errors.New("the server offers no authentication that is known here")
	errInClear     = errors.New("a password must not travel in clear")
	errNoChallenge = errors.New("the server asks before authentication began")
)

// auth picks the best mechanism that the server has. The library's own choice
// does without PLAIN where the caller dials TLS itself.
type auth struct {
	username, password string
	picked             smtp.Auth
}

var _ smtp.Auth = (*auth)(nil)

func (a *auth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !loopback(server.Name) {
		return "", nil, errInClear
	}
	for _, m := range []struct {
		name string
		make func() smtp.Auth
	}{
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(a.username, a.password) }},
		{"SCRAM-SHA-1", func() smtp.Auth { return smtp.ScramSHA1Auth(a.username, a.password) }},
		{"CRAM-MD5", func() smtp.Auth { return smtp.CRAMMD5Auth(a.username, a.password) }},
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", a.username, a.password, server.Name, true) }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(a.username, a.password, server.Name, true) }},
	} {
		if slices.Contains(server.Auth, m.name) {
			a.picked = m.make()
			return a.picked.Start(server)
		}
	}
	return "", nil, errNoAuth
}

func (a *auth) Next(fromServer []byte, more bool) ([]byte, error) {
	if a.picked == nil {
		return nil, errNoChallenge
	}
	return a.picked.Next(fromServer, more)
}
