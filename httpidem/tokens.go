package httpidem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// Tokens guards operations against the double submit: the server issues a token
// with the form, and the request that brings it back runs, once.
//
// A token is 128 random bits under an operator and an operation, for TokenConfig.TTL.
// Comparing it, consuming it and claiming the right to run are one atomic operation
// of the store, so that of two clicks one runs. The token of another operator, or
// for another operation, is unknown, and is not burnt by the attempt. What was
// consumed by a process that crashed can be claimed again when its lease ends, so the
// client is not stuck; see TokenConfig.Takeover. It is safe for concurrent use.
type Tokens struct {
	cfg    Config
	own    TokenConfig
	guard  *guard
	claims *claims
}

// NewTokens returns Tokens whose records are in store.
func NewTokens(store Store, cfg TokenConfig) (*Tokens, error) {
	cfg.TTL = or(cfg.TTL, DefaultTokenTTL)
	if cfg.Token == nil {
		cfg.Token = func(r *http.Request) string { return r.Header.Get(DefaultTokenHeader) }
	}
	shared := cfg.shared()
	err := cfg.validate(shared)
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	t := &Tokens{cfg: shared, own: cfg, guard: shared.guard()}
	t.guard.reused = tokenReused
	t.claims = newClaims(store, shared.Name, shared.terms(), shared.Logger)
	return t, nil
}

// issued is the epoch of a record that Issue has made. A claim of a token that was
// never issued finds no record, and so makes one in epoch 0: that is how it is told.
const issued = 1

// Issue returns a new token for one run of operation by operator.
func (t *Tokens) Issue(ctx context.Context, operator, operation string) (string, error) {
	if operator == "" || operation == "" {
		return "", errNameless
	}
	token := rand.Text() // 130 bits
	ctx, cancel := context.WithTimeout(ctx, t.cfg.StoreWait)
	defer cancel()
	err := t.claims.store.Transition(ctx, idemstore.Key{Handler: t.cfg.Name, ID: tokenID(operator, operation, token)}, idemstore.Transition{
		From: []idemstore.State{idemstore.Absent}, To: idemstore.Parked, NextEpoch: true, Retention: t.own.TTL,
	})
	if err != nil {
		return "", fmt.Errorf("issue token: %w", err)
	}
	return token, nil
}

var errNameless = errors.New("token without an operator or an operation")

func tokenID(operator, operation, token string) string { return identify(operator, operation, token) }

// unissued reports whether the token of a claim was never issued, or has expired,
// and has the record go that such a claim has made. Nobody can run on it meanwhile:
// whatever another claim finds there is of epoch 0 too.
func (h *held) unissued(ctx context.Context) bool {
	if h.rec.Epoch >= issued {
		return false
	}
	if h.ours() {
		if err := h.complete(ctx, outcome{kind: void}.encode(nil), gone); err != nil && !errors.Is(err, ErrLeaseLost) {
			h.logger.Warn("record of an unknown token could not be removed; it goes by its retention", "name", h.name, "error", err)
		}
	}
	return true
}

// Do consumes a token outside of a handler: it runs fn and keeps what fn returns, for
// TokenConfig.Retention. Where the token has been used before, it returns what was
// kept, and replayed.
//
// The context of fn is not cancelled with ctx, keeps its deadline, and ends with
// ErrLeaseLost once another has claimed the token. Where fn fails or panics, the token
// can be used again. Errors wrap ErrTokenUnknown, ErrInProgress, ErrInDoubt or
// ErrLeaseLost (fn has run, and so has another), or are fn's own or the store's; after
// an error of the store that is joined to a result of fn, a repetition may run.
func (t *Tokens) Do(ctx context.Context, operator, operation, token string, fn func(ctx context.Context) ([]byte, error)) (result []byte, replayed bool, err error) {
	if operator == "" || operation == "" {
		return nil, false, errNameless
	}
	if token == "" {
		return nil, false, ErrTokenUnknown
	}
	h := t.claims.prepare(idemstore.Claim{Key: idemstore.Key{ID: tokenID(operator, operation, token)}, Resume: true})
	if err := h.obtain(ctx, t.cfg.BusyWait); err != nil {
		return nil, false, fmt.Errorf("consume token: %w", err)
	}
	switch {
	case h.unissued(ctx):
		return nil, false, ErrTokenUnknown
	case h.rec.Verdict == idemstore.Busy:
		return nil, false, ErrInProgress
	case !h.ours():
		return kept(h.rec)
	case h.rec.Verdict == idemstore.Takeover && t.cfg.Takeover == TakeoverRefuse:
		err := h.complete(ctx, outcome{kind: doubtful}.encode(nil), t.cfg.Retention)
		return nil, false, errors.Join(ErrInDoubt, err)
	}
	result, err = t.call(ctx, h, fn)
	return result, false, err
}

// kept is what a finished record holds for Do.
func kept(rec idemstore.Record) ([]byte, bool, error) {
	o, err := decode(rec.Result)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("read result of token: %w", err)
	case o.kind == doubtful:
		return nil, false, ErrInDoubt
	case o.kind != resultBytes:
		return nil, false, errors.New("token was used by a request, and not by a function")
	}
	return o.body, true, nil
}

func (t *Tokens) call(own context.Context, h *held, fn func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := detach(context.WithValue(own, runningKey{}, &running{fence: h.rec.Attempt}))
	defer cancel(context.Canceled)
	h.keep(ctx, cancel)
	settled := false
	defer func() {
		h.lease.Stop()
		if !settled {
			h.release(own)
		}
	}()
	result, err := fn(ctx)
	if err != nil {
		return nil, err
	}
	h.lease.Stop()
	settled = true
	if err := h.complete(own, outcome{kind: resultBytes, body: result}.encode(nil), t.cfg.Retention); err != nil {
		return result, fmt.Errorf("keep result of token: %w", err)
	}
	return result, nil
}

// expiresIn is the TTL in whole seconds, for clients.
func (t *Tokens) expiresIn() int64 { return int64(t.own.TTL / time.Second) }
