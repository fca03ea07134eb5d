package httpidem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// NewTx returns the guard that runs each handler in a transaction of runner's, which
// the handler's context carries (Native) and which holds the record and the
// response too: effect, record and response commit together, or none of them.
//
// A response that is stored is committed, a 4xx included. One that is not (5xx, 429,
// NotExecuted, a panic) rolls back what the handler has written. The response goes
// out after the commit, so a handler cannot stream: Flush and Hijack return
// http.ErrNotSupported, and the whole response is held in memory; one of more than
// Config.MaxResponse bytes is sent, and not stored. A commit whose outcome is unknown
// is answered with 503 outcome-unknown: a repetition meets the record if it did commit.
//
// While the transaction of another request with the key is open, PostgreSQL says so
// and the request waits for Config.BusyWait or gets 409 at once; on MySQL, MariaDB
// and SQLite it waits for that transaction to end, within its own deadline and the
// server's lock wait timeout, or until its client goes away.
func NewTx(runner Runner, store TxStore, cfg Config) (*Idempotency, error) {
	err := cfg.forTx()
	cfg = cfg.withDefaults()
	err = errors.Join(err, cfg.validate())
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if runner == nil {
		err = errors.Join(errors.New("runner: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	i := &Idempotency{cfg: cfg, guard: cfg.guard()}
	t := &transacted{guard: i.guard, runner: runner, store: store, name: cfg.Name}
	i.serve = t.serve
	return i, nil
}

// transacted guards a handler by a record in its own transaction.
type transacted struct {
	*guard
	runner Runner
	store  TxStore
	name   string
}

func (t *transacted) serve(next http.Handler, w http.ResponseWriter, req request) {
	began := time.Now()
	for n := 1; ; n++ {
		a := &attempt{transacted: t, req: req, next: next, recorder: newRecorder(w, t.maxResponse, true)}
		err := a.run()
		left := t.busyWait - time.Since(began)
		if !a.again || left <= 0 {
			a.settle(w, err)
			return
		}
		// The handler has not run, and no transaction is open during the wait.
		if backoff.Wait(req.r.Context(), min(left, busyPolicy.Delay(n))) != nil {
			t.away(w, req.r, err)
			return
		}
	}
}

// attempt is one transaction.
type attempt struct {
	*transacted
	req      request
	next     http.Handler
	recorder *recorder

	rec   idemstore.Record
	ran   bool // the handler was called
	again bool // it was not, and a fresh transaction may fare better
}

// What ends a transaction that is not to commit.
var (
	errFound     = errors.New("record exists already")
	errBusy      = errors.New("another transaction has the key")
	errNotStored = errors.New("the response is not stored")
)

func (a *attempt) run() error {
	own := a.req.r.Context()
	ctx, cancel := detach(own)
	defer cancel(context.Canceled)
	// Up to the handler, a client that goes away takes its request along.
	attached := context.AfterFunc(own, func() { cancel(context.Cause(own)) })
	defer attached()
	return a.runner.InTx(ctx, func(ctx context.Context, tx Tx) error {
		claim := idemstore.Claim{Key: idemstore.Key{Handler: a.name, ID: a.req.id}, Fingerprint: a.req.mark, Retention: a.retention}
		var err error
		if a.rec, err = a.store.ClaimTx(ctx, tx, claim); err != nil {
			a.again = errors.Is(err, idemstore.ErrContended)
			return fmt.Errorf("claim: %w", err)
		}
		switch a.rec.Verdict {
		case idemstore.Won, idemstore.Takeover, idemstore.Mine:
		case idemstore.Busy:
			a.again = true
			return errBusy
		default:
			return errFound
		}
		if !attached() {
			return context.Cause(own)
		}
		return a.handle(ctx, tx, claim.Key)
	})
}

// handle runs the handler, and puts its response into the record.
func (a *attempt) handle(ctx context.Context, tx Tx, key idemstore.Key) error {
	a.ran = true
	state := &running{fence: a.rec.Attempt}
	req := a.req
	req.r = req.r.WithContext(context.WithValue(ctx, runningKey{}, state))
	returned := false
	defer func() {
		if !returned { // a panic, which rolls back
			a.observe(a.req.r, Released)
		}
	}()
	req.plain(a.next, a.recorder)
	returned = true
	if state.notExecuted.Load() || !a.recorder.stored() {
		return errNotStored
	}
	return a.store.ResultTx(ctx, tx, key, a.recorder.outcome().encode(a.replayHeaders))
}

// settle turns the end of the transaction into the response.
func (a *attempt) settle(w http.ResponseWriter, err error) {
	r := a.req.r
	switch {
	case a.ran && err == nil:
		a.observe(r, Executed)
		a.recorder.send()
	case a.ran && errors.Is(err, errNotStored):
		a.observe(r, Released)
		a.recorder.send()
	case a.ran:
		a.logger.Error("transaction of a request failed after its handler; a repetition finds out", "error", err)
		p := outcomeUnknown
		p.RetryAfter = a.retryAfter
		a.refuse(w, r, p, Unmarked)
	case errors.Is(err, errBusy), errors.Is(err, idemstore.ErrContended):
		a.busy(w, r)
	case !errors.Is(err, errFound):
		a.away(w, r, err)
	case a.rec.Verdict == idemstore.Mismatch:
		a.refuse(w, r, a.reused, Mismatched)
	default:
		a.found(w, a.req, a.rec)
	}
}
