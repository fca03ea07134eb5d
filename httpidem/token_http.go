package httpidem

import (
	"encoding/json"
	"net/http"
)

// Handler answers POST with a new token of operation for the request's operator:
//
//	201 {"token": "…", "expires_in": 1800}
//
// and other methods with 405. The seconds are those of TokenConfig.TTL.
func (t *Tokens) Handler(operation string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			t.cfg.Problem(w, r, methodNotAllowed)
			return
		}
		operator := t.own.Operator(r)
		if operator == "" {
			t.guard.refuse(w, r, clientUnknown, Refused)
			return
		}
		token, err := t.Issue(r.Context(), operator, operation)
		if err != nil {
			t.guard.away(w, r, err)
			return
		}
		body, err := json.Marshal(struct {
			Token     string `json:"token"`
			ExpiresIn int64  `json:"expires_in"`
		}{token, t.expiresIn()})
		if err != nil {
			t.guard.away(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
}

// Middleware returns what puts a handler behind a token of operation. A request,
// whatever its method but safe ones, meets:
//
//	no token                                   409 token-missing
//	a token not issued, expired, or another's  409 token-unknown
//	a token whose request is still running     409 request-in-progress, with Retry-After
//	a token used with another body             422 token-reused
//	a token whose request has ended            the earlier response, Idempotency-Replayed: true
//
// and else runs the handler as an Idempotency does, with the same rules for what is
// stored, what is released, streams and clients that go away.
func (t *Tokens) Middleware(operation string) func(next http.Handler) http.Handler {
	l := &leased{guard: t.guard, claims: t.claims}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if safe(r.Method) {
				next.ServeHTTP(w, r)
				return
			}
			operator := t.own.Operator(r)
			if operator == "" {
				t.guard.refuse(w, r, clientUnknown, Refused)
				return
			}
			body, ok := t.guard.body(w, r)
			if !ok {
				return
			}
			withBody(r, body) // the token may be a field of a form
			token := t.own.Token(r)
			if token == "" {
				t.guard.refuse(w, r, tokenMissing, Refused)
				return
			}
			l.serve(next, w, request{
				r: r, body: body, token: true, id: tokenID(operator, operation, token),
				mark: t.cfg.fingerprint(r, body),
			})
		})
	}
}
