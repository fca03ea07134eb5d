package httpidem

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// leased guards a handler by a record that is claimed before and completed after it.
type leased struct {
	*guard
	claims *claims
}

func (l *leased) serve(next http.Handler, w http.ResponseWriter, req request) {
	claim := idemstore.Claim{Key: idemstore.Key{ID: req.id}, Fingerprint: req.mark}
	if req.token {
		// Whoever has failed with a token may come back with another body.
		claim.Fingerprint, claim.Resume = "", true
	}
	h := l.claims.prepare(claim)
	if err := h.obtain(req.r.Context(), l.busyWait); err != nil {
		if l.outage == FailOpen && req.r.Context().Err() == nil {
			l.logger.Error("idempotency record could not be claimed; the request is run without protection", "error", err)
			l.observe(req.r, Unguarded)
			req.plain(next, w)
			return
		}
		l.away(w, req.r, err)
		return
	}
	if req.token && h.unissued(req.r.Context()) {
		l.refuse(w, req.r, tokenUnknown, Refused)
		return
	}
	switch h.rec.Verdict {
	case idemstore.Busy:
		l.busy(w, req.r)
	case idemstore.Mismatch:
		l.refuse(w, req.r, l.reused, Mismatched)
	case idemstore.Finished:
		l.found(w, req, h.rec)
	case idemstore.Takeover:
		if l.takeover == TakeoverRefuse {
			l.doubt(w, req, h)
			return
		}
		l.run(next, w, req, h)
	default:
		l.run(next, w, req, h)
	}
}

// doubt has the record say from now on that nobody knows.
func (l *leased) doubt(w http.ResponseWriter, req request, h *held) {
	err := h.complete(req.r.Context(), outcome{kind: doubtful}.encode(nil), l.retention)
	if err != nil {
		// The next request meets a claim whose lease ends, and doubts again.
		l.logger.Warn("record in doubt could not be completed", "error", err)
	}
	l.refuse(w, req.r, inDoubt, Conflict)
}

func (l *leased) run(next http.Handler, w http.ResponseWriter, req request, h *held) {
	state := &running{fence: h.rec.Attempt}
	own := req.r.Context()
	ctx, cancel := detach(context.WithValue(own, runningKey{}, state))
	defer cancel(context.Canceled)
	h.keep(ctx, cancel)
	settled := false
	defer func() {
		h.lease.Stop()
		if !settled { // a panic: nothing is known of the effect
			h.release(own)
			l.observe(req.r, Released)
		}
	}()
	c := newRecorder(w, l.maxResponse, false)
	req.r = req.r.WithContext(ctx)
	req.plain(next, c)
	h.lease.Stop()
	settled = true
	l.settle(own, w, req, h, c, state)
}

// settle brings the record to its end, and then lets the response go.
func (l *leased) settle(own context.Context, w http.ResponseWriter, req request, h *held, c *recorder, state *running) {
	var err error
	outcome := Executed
	switch {
	case state.notExecuted.Load():
		outcome = Released
		l.forget(own, req, h)
	case !c.stored():
		outcome = Released
		h.release(own)
	default:
		o := c.outcome()
		if req.token {
			o.fingerprint = req.mark
		}
		err = h.complete(own, o.encode(l.replayHeaders), l.retention)
	}
	switch {
	case errors.Is(err, ErrLeaseLost):
		// Another request has taken the record, and its response is the one that
		// repetitions will get: this client is sent for it.
		l.logger.Error("request was run, and its record was taken over meanwhile; its effect may be there twice", "fence", state.fence)
		l.observe(req.r, Unmarked)
		if !c.streamed && !c.hijacked {
			p := inProgress
			p.RetryAfter = l.retryAfter
			l.problem(w, req.r, p)
			return
		}
	case err != nil:
		// A failure now would make sure of a second run.
		l.logger.Error("request was run but its record could not be completed; a repetition after the lease would run again", "fence", state.fence, "error", err)
		l.observe(req.r, Unmarked)
	default:
		l.observe(req.r, outcome)
	}
	c.send()
}

// gone is how long the record of a request that was not executed is still there.
const gone = time.Millisecond

// forget frees the record of a request that was not executed, for any payload. A
// record that was claimed more than once keeps its fencing number, and so its
// payload; a token is bound to none.
func (l *leased) forget(own context.Context, req request, h *held) {
	if req.token || h.rec.Attempt > 1 || h.complete(own, outcome{kind: void}.encode(nil), gone) != nil {
		h.release(own)
	}
}
