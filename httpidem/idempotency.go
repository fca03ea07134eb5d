package httpidem

import (
	"errors"
	"net/http"
)

// Idempotency guards handlers by the Idempotency-Key header. It is safe for
// concurrent use and has nothing to close.
type Idempotency struct {
	cfg   Config
	guard *guard
	serve func(next http.Handler, w http.ResponseWriter, req request)
}

// New returns the guard that claims the record of a request in store, runs the
// handler while it renews the claim, and completes the record with the response.
// A timer renews the lease of each running handler and ends with it.
//
// An effect can be repeated by a crash between it and the record's completion, by
// a process that is frozen for longer than Config.Lease, and by a loss of the
// store's data; see Config.Takeover, Fence and NewTx.
func New(store Store, cfg Config) (*Idempotency, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	i := &Idempotency{cfg: cfg, guard: cfg.guard()}
	l := &leased{guard: i.guard, claims: newClaims(store, cfg.Name, cfg.terms(), cfg.Logger)}
	i.serve = l.serve
	return i, nil
}

func (c Config) guard() *guard {
	return &guard{
		replayHeaders: c.ReplayHeaders, maxBody: c.MaxBody, maxResponse: c.MaxResponse,
		retryAfter: c.RetryAfter, busyWait: c.BusyWait, retention: c.Retention, takeover: c.Takeover, outage: c.Outage,
		problem: c.Problem, observe: c.Observe, logger: c.Logger, reused: keyReused,
	}
}

// Middleware returns next behind the guard, on the goroutine of the request; what
// it panics with goes on, after the record was released. It fits the middlewares of
// chi, and of echo by echo.WrapMiddleware.
func (i *Idempotency) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if safe(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		key, err := ParseKey(r.Header[i.cfg.Header])
		switch {
		case err != nil:
			p := keyMalformed
			p.Detail = err.Error()
			i.guard.refuse(w, r, p, Refused)
		case key != "":
			if req, ok := i.admit(w, r, key); ok {
				i.serve(next, w, req)
			}
		case i.cfg.Required(r):
			i.guard.refuse(w, r, keyMissing, Refused)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// admit says which record a request belongs to, or answers it.
func (i *Idempotency) admit(w http.ResponseWriter, r *http.Request, key string) (request, bool) {
	scope := i.cfg.Scope(r)
	if scope == "" {
		i.guard.refuse(w, r, clientUnknown, Refused)
		return request{}, false
	}
	body, ok := i.guard.body(w, r)
	if !ok {
		return request{}, false
	}
	return request{
		r: r, body: body,
		id:   identify(scope, r.Method, i.cfg.Route(r), key),
		mark: i.cfg.fingerprint(r, body),
	}, true
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return true
	}
	return false
}
