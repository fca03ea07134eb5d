package httpidem

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// The defaults of tokens.
const (
	DefaultTokenHeader = "Submit-Token"
	DefaultTokenTTL    = 30 * time.Minute
)

// TokenConfig configures NewTokens. Operator must be set. Fields that Config has too
// mean the same and have the same defaults.
type TokenConfig struct {
	// Name begins the records. Default: "token".
	Name string
	// Operator returns who asks, as the server knows it: the user behind the session.
	// A token is good for the operator that it was issued to. The empty string is an
	// unknown one: 403. Required for the handlers; Do and Issue are told.
	Operator func(r *http.Request) string
	// Token finds the token of a request, whose body has been read and may be parsed
	// as a form. The empty string is none. Default: the header "Submit-Token".
	Token func(r *http.Request) string
	// TTL is how long a token is good for. Default: 30 min.
	TTL time.Duration

	FingerprintHeaders []string
	// Fingerprint is Config's. A browser writes a multipart form anew with each click,
	// with another boundary, so that the second click is another payload (422) unless
	// Fingerprint says what counts, or returns "".
	Fingerprint   func(r *http.Request, body []byte) string
	ReplayHeaders []string
	MaxBody       int64
	MaxResponse   int
	Retention     time.Duration
	RetryAfter    time.Duration
	BusyWait      time.Duration
	StoreWait     time.Duration
	Lease         time.Duration
	Heartbeat     time.Duration
	Takeover      TakeoverPolicy
	Problem       ProblemFunc
	Observe       func(r *http.Request, o Outcome)
	Logger        *slog.Logger
}

// shared is the part that tokens and keys have in common, with its defaults.
func (c TokenConfig) shared() Config {
	return Config{
		Name: or(c.Name, "token"), Scope: c.Operator,
		FingerprintHeaders: c.FingerprintHeaders, Fingerprint: c.Fingerprint, ReplayHeaders: c.ReplayHeaders, MaxBody: c.MaxBody, MaxResponse: c.MaxResponse,
		Retention: c.Retention, RetryAfter: c.RetryAfter, BusyWait: c.BusyWait, StoreWait: c.StoreWait,
		Lease: c.Lease, Heartbeat: c.Heartbeat, Takeover: c.Takeover,
		Problem: c.Problem, Observe: c.Observe, Logger: c.Logger,
	}.withDefaults()
}

func (c TokenConfig) validate(shared Config) error {
	p := &problems{in: "TokenConfig"}
	p.require("Operator", c.Operator != nil, "is nil: say who asks")
	p.require("TTL", c.TTL >= time.Millisecond, "%v: use at least 1ms", c.TTL)
	if shared.Scope == nil {
		shared.Scope = Anyone // it is Operator, which has been judged
	}
	return errors.Join(append(p.errs, shared.check("TokenConfig")...)...)
}
