package httpidem

import (
	"log/slog"
	"net/http"
	"time"
)

// TakeoverPolicy says what becomes of a request whose former run neither
// completed nor released its record before the lease ended: the process crashed,
// or was frozen, and its effect may be there or not.
type TakeoverPolicy uint8

const (
	// TakeoverRerun runs the handler again: at least once for its effect.
	TakeoverRerun TakeoverPolicy = iota
	// TakeoverRefuse answers 409 request-in-doubt, now and for Config.Retention: at
	// most once for its effect.
	TakeoverRefuse
)

// OutagePolicy says what becomes of a request while the store cannot be asked.
type OutagePolicy uint8

const (
	// FailClosed answers 503 with Retry-After; the handler does not run.
	FailClosed OutagePolicy = iota
	// FailOpen runs the handler without protection. Only where something else, as
	// a unique index, holds off the second effect.
	FailOpen
)

// Outcome is what became of a guarded request, for counters.
type Outcome string

// The outcomes.
const (
	Executed    Outcome = "executed"    // the handler ran, its response is stored
	Released    Outcome = "released"    // the handler ran and failed; a repetition runs
	Replayed    Outcome = "replayed"    // an earlier response was sent
	Conflict    Outcome = "conflict"    // another request is in progress, or its response cannot be repeated
	Mismatched  Outcome = "mismatched"  // the key is known with another request
	Refused     Outcome = "refused"     // malformed, missing, too large, or an unknown client or token
	Unavailable Outcome = "unavailable" // the store could not be asked
	Unmarked    Outcome = "unmarked"    // the handler ran, and its record could not be completed: a repetition may run
	Unguarded   Outcome = "unguarded"   // FailOpen: the handler ran without protection
)

// The defaults.
const (
	DefaultHeader      = "Idempotency-Key"
	DefaultRetention   = 24 * time.Hour
	DefaultLease       = 15 * time.Second
	DefaultRetryAfter  = time.Second
	DefaultStoreWait   = 2 * time.Second
	DefaultMaxBody     = 1 << 20
	DefaultMaxResponse = 1 << 20
)

// ReplayedHeader is "true" on a response that was stored before.
const ReplayedHeader = "Idempotency-Replayed"

// Config configures New and NewTx. Scope must be set.
type Config struct {
	// Name begins the records, so that two APIs can share a store. Default: "http".
	Name string
	// Scope returns what the server knows of the client: the tenant, or the
	// account behind an authenticated request; never what the client can choose
	// freely. A client's key never meets a record of another scope. The empty
	// string is a client that is unknown: 403. Required; Anyone says that there
	// are no clients to tell apart.
	Scope func(r *http.Request) string
	// Route returns the operation within the API. Default: the pattern by which
	// http.ServeMux has found the handler, where the middleware is inside of the
	// mux, and else the path.
	Route func(r *http.Request) string
	// Required says which unsafe requests must have a key; the others may have one.
	// Default: POST and PATCH.
	Required func(r *http.Request) bool
	// Header is the name of the key's header. Default: "Idempotency-Key".
	Header string
	// FingerprintHeaders are request headers in which a repeated request must be
	// equal, beside method, path, query and body. Default: Content-Type.
	FingerprintHeaders []string
	// Fingerprint replaces all of that: requests with the same key are the same where
	// it returns the same text, as for a body that each client writes anew. The store
	// keeps its hash. The empty text is equal to any. Default: what is said above.
	Fingerprint func(r *http.Request, body []byte) string
	// ReplayHeaders are the response headers that are stored and sent again.
	// Set-Cookie, and those about authentication and the connection, are refused.
	// Default: DefaultReplayHeaders.
	ReplayHeaders []string
	// MaxBody is how many bytes the body of a request may have. Default: 1 MiB.
	MaxBody int64
	// MaxResponse is how many bytes of a response are stored; a larger one goes
	// through and cannot be repeated. Default: 1 MiB.
	MaxResponse int

	// Retention is how long a response is kept, and an unfinished record after its
	// lease; a repetition that comes later runs. Clients should be told. Default: 24 h.
	Retention time.Duration
	// RetryAfter is what 409 request-in-progress and 503 ask for. Default: 1 s.
	RetryAfter time.Duration
	// BusyWait is how long a request waits for the response of another one with
	// its key before it gets 409. Default: not at all.
	BusyWait time.Duration
	// StoreWait is how long the store may take to answer a claim, or to be told of
	// the end of a handler, as far as its client heeds contexts: go-redis does with
	// ContextTimeoutEnabled, and else has time-outs of its own. NewTx does not use it:
	// its statements are within the request's own deadline. Default: 2 s.
	StoreWait time.Duration

	// Lease is how long a record is kept from others without a sign of life, at
	// least 10 ms. New only. Default: 15 s.
	Lease time.Duration
	// Heartbeat is the time between two renewals of the lease, at most half of it.
	// New only. Default: a third of Lease.
	Heartbeat time.Duration
	// Takeover decides about what is in doubt. New only. Default: TakeoverRerun.
	Takeover TakeoverPolicy
	// Outage decides while the store is away. New only. Default: FailClosed.
	Outage OutagePolicy

	// Problem writes the problem documents. Default: WriteProblem.
	Problem ProblemFunc
	// Observe is told the outcome of each guarded request, on its goroutine; it must
	// neither block nor panic. Default: nobody.
	Observe func(r *http.Request, o Outcome)
	// Logger hears of what no client can be told: a record that could not be
	// completed or released, and the store's errors. Default: discards.
	Logger *slog.Logger
}

// Anyone is a Scope of one client, for an API that does not tell them apart.
func Anyone(*http.Request) string { return "anyone" }

// DefaultReplayHeaders returns the headers that are stored where
// Config.ReplayHeaders is nil.
func DefaultReplayHeaders() []string {
	return []string{
		"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Type",
		"Deprecation", "Etag", "Expires", "Last-Modified", "Link", "Location", "Preference-Applied", "Vary",
	}
}

func requiredByDefault(r *http.Request) bool {
	return r.Method == http.MethodPost || r.Method == http.MethodPatch
}

func routeByDefault(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return r.URL.Path
}

func (c Config) withDefaults() Config {
	c.Name = or(c.Name, "http")
	c.Header = http.CanonicalHeaderKey(or(c.Header, DefaultHeader))
	if c.Route == nil {
		c.Route = routeByDefault
	}
	if c.Required == nil {
		c.Required = requiredByDefault
	}
	if c.FingerprintHeaders == nil {
		c.FingerprintHeaders = []string{"Content-Type"}
	}
	if c.ReplayHeaders == nil {
		c.ReplayHeaders = DefaultReplayHeaders()
	}
	c.FingerprintHeaders, c.ReplayHeaders = canonical(c.FingerprintHeaders), canonical(c.ReplayHeaders)
	c.MaxBody, c.MaxResponse = or(c.MaxBody, DefaultMaxBody), or(c.MaxResponse, DefaultMaxResponse)
	c.Retention, c.RetryAfter = or(c.Retention, DefaultRetention), or(c.RetryAfter, DefaultRetryAfter)
	c.StoreWait, c.Lease = or(c.StoreWait, DefaultStoreWait), or(c.Lease, DefaultLease)
	c.Heartbeat = or(c.Heartbeat, c.Lease/3)
	if c.Problem == nil {
		c.Problem = WriteProblem
	}
	if c.Observe == nil {
		c.Observe = func(*http.Request, Outcome) {}
	}
	c.Logger = orDiscard(c.Logger)
	return c
}

func canonical(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = http.CanonicalHeaderKey(n)
	}
	return out
}

func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
