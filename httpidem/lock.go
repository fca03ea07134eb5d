package httpidem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// DefaultFenceRetention is how long a lock's number is remembered after its end.
const DefaultFenceRetention = 7 * 24 * time.Hour

// LockConfig configures NewLock. Operator must be set. Fields that Config has too
// mean the same and have the same defaults.
type LockConfig struct {
	// Name begins the records. Default: "lock".
	Name string
	// Operator returns who asks, as the server knows it. The empty string is an
	// unknown one: 403. Required for Middleware; Do is told.
	Operator func(r *http.Request) string
	// Resource returns what the request works on, as an order's number: requests for
	// different resources never wait for each other. Default: the path.
	Resource func(r *http.Request) string
	// Retention is how long the fencing number of a lock is remembered after its
	// last holder; after that it begins at 1 again. Default: 7 days.
	Retention time.Duration

	RetryAfter time.Duration
	StoreWait  time.Duration
	Lease      time.Duration
	Heartbeat  time.Duration
	Problem    ProblemFunc
	Observe    func(r *http.Request, o Outcome)
	Logger     *slog.Logger
}

// Lock lets one request at a time work on (operation, operator, resource), in all
// instances that share the store. Whoever finds it taken fails at once instead of
// waiting. It is released at the end by its holder only, is renewed while the
// holder works, and is free when the lease of a holder that crashed ends.
//
// A lock keeps out what happens at the same time, not what happens again: see New
// and Tokens for that. It cannot keep out a holder that was frozen for longer than
// the lease: give LockFence to the resource, which refuses the lower number. It is
// safe for concurrent use.
type Lock struct {
	cfg    Config
	own    LockConfig
	guard  *guard
	claims *claims
}

// NewLock returns a Lock whose records are in store.
func NewLock(store Store, cfg LockConfig) (*Lock, error) {
	cfg.Retention = or(cfg.Retention, DefaultFenceRetention)
	shared := Config{
		Name: or(cfg.Name, "lock"), Scope: Anyone, Retention: cfg.Retention, RetryAfter: cfg.RetryAfter, StoreWait: cfg.StoreWait,
		Lease: cfg.Lease, Heartbeat: cfg.Heartbeat, Problem: cfg.Problem, Observe: cfg.Observe, Logger: cfg.Logger,
	}.withDefaults()
	if cfg.Resource == nil {
		cfg.Resource = func(r *http.Request) string { return r.URL.Path }
	}
	p := &problems{in: "LockConfig", errs: shared.check("LockConfig")}
	p.require("Operator", cfg.Operator != nil, "is nil: say who asks")
	if store == nil {
		p.errs = append(p.errs, errors.New("store: is nil"))
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return &Lock{
		cfg: shared, own: cfg, guard: shared.guard(),
		claims: newClaims(store, shared.Name, shared.terms(), shared.Logger),
	}, nil
}

// Do runs fn under the lock, or returns ErrLocked at once. The context of fn is ctx
// with LockFence, and ends with ErrLeaseLost once the lock is another's. An error is
// fn's own, or wraps ErrLocked, ErrLeaseLost (fn has run to its end, and another may
// have worked at the same time), or is the store's: fn has then not run.
func (l *Lock) Do(ctx context.Context, operation, operator, resource string, fn func(ctx context.Context) error) error {
	h, err := l.take(ctx, operation, operator, resource)
	if err != nil {
		return err
	}
	lost, err := l.hold(ctx, h, fn)
	if err == nil && lost {
		return fmt.Errorf("end of the work: %w", ErrLeaseLost)
	}
	return err
}

func (l *Lock) take(ctx context.Context, operation, operator, resource string) (*held, error) {
	h := l.claims.prepare(idemstore.Claim{Key: idemstore.Key{ID: identify(operation, operator, resource)}})
	if err := h.ask(ctx); err != nil {
		return nil, fmt.Errorf("take lock: %w", err)
	}
	if !h.ours() {
		return nil, ErrLocked
	}
	return h, nil
}

// hold runs fn while the lock is renewed, and says whether it was lost.
func (l *Lock) hold(ctx context.Context, h *held, fn func(ctx context.Context) error) (lost bool, err error) {
	inner, cancel := context.WithCancelCause(context.WithValue(ctx, lockKey{}, h.rec.Attempt))
	defer cancel(context.Canceled)
	h.keep(inner, cancel)
	defer func() {
		h.lease.Stop()
		lost = errors.Is(context.Cause(inner), ErrLeaseLost)
		h.release(ctx)
	}()
	return false, fn(inner)
}

// Middleware returns what runs a handler under the lock of operation, whatever the
// method. A request that finds it taken gets 409 resource-locked at once, and 503
// store-unavailable while the store is away. The lock is released before the
// response has gone out completely; a handler that panics releases it too.
func (l *Lock) Middleware(operation string) func(next http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			operator := l.own.Operator(r)
			if operator == "" {
				l.guard.refuse(w, r, clientUnknown, Refused)
				return
			}
			h, err := l.take(r.Context(), operation, operator, l.own.Resource(r))
			switch {
			case errors.Is(err, ErrLocked):
				p := resourceLocked
				p.RetryAfter = l.cfg.RetryAfter
				l.guard.refuse(w, r, p, Conflict)
				return
			case err != nil:
				l.guard.away(w, r, err)
				return
			}
			lost, _ := l.hold(r.Context(), h, func(ctx context.Context) error {
				next.ServeHTTP(w, r.WithContext(ctx))
				return nil
			})
			if lost {
				l.cfg.Logger.Error("lock was lost while a request was at work", "operation", operation, "fence", h.rec.Attempt)
			}
			l.cfg.Observe(r, Executed)
		})
	}
}
