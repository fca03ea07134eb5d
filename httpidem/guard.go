package httpidem

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// guard answers requests on behalf of a record; keys and tokens share it.
type guard struct {
	replayHeaders []string
	maxBody       int64
	maxResponse   int
	retryAfter    time.Duration
	busyWait      time.Duration
	retention     time.Duration
	takeover      TakeoverPolicy
	outage        OutagePolicy
	problem       ProblemFunc
	observe       func(r *http.Request, o Outcome)
	logger        *slog.Logger
	reused        Problem // the record is of another request
}

// request is one that has been admitted.
type request struct {
	r     *http.Request
	body  []byte
	id    string // of its record
	mark  string // fingerprint
	token bool   // it has a token and not a key
}

// refuse answers with a problem.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, p Problem, o Outcome) {
	g.observe(r, o)
	g.problem(w, r, p)
}

func (g *guard) busy(w http.ResponseWriter, r *http.Request) {
	p := inProgress
	p.RetryAfter = g.retryAfter
	g.refuse(w, r, p, Conflict)
}

// away answers where the store failed before the handler ran.
func (g *guard) away(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil { // or the client has gone
		g.logger.Error("idempotency record could not be claimed; the request was not run", "error", err)
	}
	p := storeAway
	p.RetryAfter = g.retryAfter
	g.refuse(w, r, p, Unavailable)
}

// body reads the request's, or answers.
func (g *guard) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := takeBody(w, r, g.maxBody)
	switch {
	case err == nil:
		return body, true
	case errors.Is(err, errTooLarge):
		g.refuse(w, r, bodyTooLarge, Refused)
	default:
		g.refuse(w, r, bodyUnreadable, Refused)
	}
	return nil, false
}

// found answers from a finished record.
func (g *guard) found(w http.ResponseWriter, req request, rec idemstore.Record) {
	o, err := decode(rec.Result)
	switch {
	case rec.State != idemstore.Done || err != nil:
		g.logger.Error("stored response cannot be read", "state", string(rec.State), "error", err)
		g.refuse(w, req.r, notReplayable, Conflict)
	case o.fingerprint != "" && o.fingerprint != req.mark:
		g.refuse(w, req.r, g.reused, Mismatched)
	case o.kind == void:
		g.busy(w, req.r)
	case o.kind == doubtful:
		g.refuse(w, req.r, inDoubt, Conflict)
	case o.kind != response:
		g.refuse(w, req.r, notReplayable, Conflict)
	default:
		g.observe(req.r, Replayed)
		h := w.Header()
		maps.Copy(h, o.header)
		h.Set(ReplayedHeader, "true")
		w.WriteHeader(o.status)
		_, _ = w.Write(o.body)
	}
}

// plain runs the handler on what has been read.
func (req request) plain(next http.Handler, w http.ResponseWriter) {
	withBody(req.r, req.body)
	next.ServeHTTP(w, req.r)
}
