package httpidem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// ProblemPrefix begins the type of every Problem of this package. The types are
// stable: clients may branch on them.
const ProblemPrefix = "urn:sluicegate:problem:"

// Problem is a Problem Details document (RFC 9457). Its texts hold no key, token,
// payload or name of a client.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`

	// RetryAfter is sent as the header of that name, in whole seconds; 0 is none.
	RetryAfter time.Duration `json:"-"`
}

// ProblemFunc writes a response for p, in place of WriteProblem.
type ProblemFunc func(w http.ResponseWriter, r *http.Request, p Problem)

// WriteProblem answers with p as application/problem+json.
func WriteProblem(w http.ResponseWriter, _ *http.Request, p Problem) {
	body, err := json.Marshal(p)
	if err != nil { // strings and a number
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

func problem(name string, status int, title, detail string) Problem {
	return Problem{Type: ProblemPrefix + name, Title: title, Status: status, Detail: detail}
}

// The problems that requests can meet.
var (
	keyMissing       = problem("idempotency-key-missing", http.StatusBadRequest, "Idempotency key is missing", "This operation needs an Idempotency-Key header; send a new one for each operation and the same one for its repetitions.")
	keyMalformed     = problem("idempotency-key-malformed", http.StatusBadRequest, "Idempotency key is malformed", "")
	bodyUnreadable   = problem("body-unreadable", http.StatusBadRequest, "Request body could not be read", "")
	clientUnknown    = problem("client-unknown", http.StatusForbidden, "Client is unknown", "This operation needs to know who asks.")
	bodyTooLarge     = problem("body-too-large", http.StatusRequestEntityTooLarge, "Request body is too large", "Nothing has been done.")
	inProgress       = problem("request-in-progress", http.StatusConflict, "Request is in progress", "Another request with the same key is running; repeat this one later to get its response.")
	keyReused        = problem("idempotency-key-reused", http.StatusUnprocessableEntity, "Idempotency key was used for another request", "The key is known with another method, path or body; use a new key for a new operation.")
	notReplayable    = problem("response-not-replayable", http.StatusConflict, "Response cannot be repeated", "The request has been done; its response was streamed or too large to be kept.")
	inDoubt          = problem("request-in-doubt", http.StatusConflict, "Outcome of the request is in doubt", "A former request with the same key ended without an outcome; it is not run again.")
	storeAway        = problem("store-unavailable", http.StatusServiceUnavailable, "Service is unavailable", "The request has not been run; repeat it with the same key.")
	outcomeUnknown   = problem("outcome-unknown", http.StatusServiceUnavailable, "Outcome of the request is unknown", "Repeat the request with the same key to learn it.")
	tokenMissing     = problem("token-missing", http.StatusConflict, "Token is missing", "This operation needs a token that was issued for it.")
	tokenUnknown     = problem("token-unknown", http.StatusConflict, "Token is unknown", "The token was not issued for this operation, or its time is over; ask for a new one.")
	tokenReused      = problem("token-reused", http.StatusUnprocessableEntity, "Token was used for another request", "The token has been used with another body; ask for a new one.")
	methodNotAllowed = problem("method-not-allowed", http.StatusMethodNotAllowed, "Method is not allowed", "Tokens are issued by POST.")
	resourceLocked   = problem("resource-locked", http.StatusConflict, "Resource is locked", "Another request is at work on it.")
)
