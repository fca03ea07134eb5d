package httpidem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// claims makes claims for a lease; it is what keys, tokens and locks share.
type claims struct {
	store   Store
	name    string // handler of the keys
	terms   terms
	logger  *slog.Logger
	process string // begins the owners' tokens, so that no other process has them
	asked   atomic.Uint64
}

func newClaims(store Store, name string, t terms, logger *slog.Logger) *claims {
	return &claims{store: store, name: name, terms: t, logger: logger, process: rand.Text()[:16]}
}

// owner names a claim.
func (c *claims) owner() string {
	b := append(make([]byte, 0, 32), c.process...)
	return string(strconv.AppendUint(append(b, '-'), c.asked.Add(1), 36))
}

// held is a claim and what the store said to it.
type held struct {
	*claims
	claim idemstore.Claim
	rec   idemstore.Record
	lease idemstore.Lease
	from  time.Time // when it was asked for
}

// prepare completes a claim that has an ID.
func (c *claims) prepare(claim idemstore.Claim) *held {
	claim.Key.Handler, claim.Token, claim.Lease, claim.Retention = c.name, c.owner(), c.terms.lease, c.terms.retention
	return &held{claims: c, claim: claim}
}

// ask asks the store once. After an error the claim may have been made all the
// same: the release keeps the next request from waiting for its lease.
func (h *held) ask(ctx context.Context) (err error) {
	bounded, cancel := context.WithTimeout(ctx, h.terms.wait)
	defer cancel()
	h.from = time.Now()
	if h.rec, err = h.store.Claim(bounded, h.claim); err != nil {
		h.release(ctx)
		return fmt.Errorf("claim: %w", err)
	}
	return nil
}

// ours reports whether the claim was won.
func (h *held) ours() bool {
	switch h.rec.Verdict {
	case idemstore.Won, idemstore.Takeover, idemstore.Mine:
		return true
	default:
		return false
	}
}

var busyPolicy = backoff.Policy{Initial: 10 * time.Millisecond, Max: 250 * time.Millisecond, Multiplier: 2, Jitter: true}

// obtain asks until the answer is no longer busy, or for patience at most.
func (h *held) obtain(ctx context.Context, patience time.Duration) error {
	began := time.Now()
	for n := 1; ; n++ {
		if err := h.ask(ctx); err != nil {
			return err
		}
		left := patience - time.Since(began)
		if h.rec.Verdict != idemstore.Busy || left <= 0 {
			return nil
		}
		if err := backoff.Wait(ctx, min(left, busyPolicy.Delay(n))); err != nil {
			return fmt.Errorf("wait for another request: %w", err)
		}
	}
}

// keep renews the lease until settled; lost is called once the record is another's.
func (h *held) keep(ctx context.Context, lost func(error)) {
	l := &h.lease
	l.Store, l.Key, l.Token, l.Term, l.Beat, l.Lost = h.store, h.claim.Key, h.claim.Token, h.terms.lease, h.terms.heartbeat, lost
	l.Keep(ctx, h.from)
}

var completePolicy = backoff.Policy{Initial: 10 * time.Millisecond, Max: 250 * time.Millisecond, Multiplier: 2, Jitter: true}

// complete marks the record done. A store that does not answer is asked again for
// as long as StoreWait: the client waits for its response meanwhile.
func (h *held) complete(ctx context.Context, result []byte, retention time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.terms.wait)
	defer cancel()
	for n := 1; ; n++ {
		err := h.store.Complete(ctx, h.claim.Key, h.claim.Token, result, retention)
		if err == nil || errors.Is(err, ErrLeaseLost) || errors.Is(err, idemstore.ErrInvalid) {
			return err
		}
		if backoff.Wait(ctx, completePolicy.Delay(n)) != nil {
			return fmt.Errorf("complete: %w", err)
		}
	}
}

// release gives the record up. Without it the record is free when its lease ends.
func (h *held) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.terms.wait)
	defer cancel()
	err := h.store.Release(ctx, h.claim.Key, h.claim.Token)
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		h.logger.Warn("record could not be released; it is busy until its lease ends", "name", h.name, "error", err)
	}
}

// detach returns a context for an effect that must not be cut off midway: it has
// the values and the deadline of ctx, and not its cancellation.
func detach(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	end, ok := ctx.Deadline()
	if !ok {
		return out, cancel
	}
	out, stop := context.WithDeadline(out, end)
	return out, func(cause error) {
		cancel(cause)
		stop()
	}
}
