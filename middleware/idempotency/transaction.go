package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// Transaction returns the middleware that runs the handler in a transaction of
// runner's, fresh for each call, which holds the record of the message too.
//
// The handler finds the transaction in the message's context, by Native. Where
// it returns nil, effect and record commit together; where it returns an error
// or panics, both are rolled back, and the record is as it was: attempts are
// the business of a retry outside. A commit whose outcome is unknown is
// returned as the error it is: another attempt meets the record if it did
// commit. A duplicate is acked without running.
//
// Messages that the handler returns would be published after the commit or
// not at all, so they are ErrProduced: write them to an outbox on the same
// transaction, or let a middleware inside of this one do so.
//
// An error before the handler has run is marked as unavailable where another
// delivery can do better (another one is at work on the key, the database is
// away) and as permanent where none can (no key, another payload).
//
// While another transaction works on the same key, a delivery on PostgreSQL
// waits for BusyWait at most; on MySQL, MariaDB and SQLite it waits for that
// transaction to end, within the message's context and the server's lock wait
// timeout. A statement that a time-out cuts off on MySQL goes on in the server
// until it ends, and keeps the next attempt waiting for so long. The middleware
// is safe for concurrent use.
func Transaction(runner Runner, store TxStore, cfg TxConfig) (message.HandlerMiddleware, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if store == nil {
		err = errors.Join(errors.New("store: is nil"), err)
	}
	if runner == nil {
		err = errors.Join(errors.New("runner: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	t := &transactor{runner: runner, store: store, cfg: cfg}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { return t.handle(next, msg) }
	}, nil
}

type transactor struct {
	runner Runner
	store  TxStore
	cfg    TxConfig
}

func (t *transactor) handle(next message.HandlerFunc, msg *message.Message) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	key, err := keyOf(t.cfg.Key, t.cfg.Consumer, t.cfg.Handler, d, msg)
	if err != nil {
		return nil, failure.Permanent(err)
	}
	d.SetKey(key.ID)
	claim := Claim{Key: key, Retention: t.cfg.Retention, Attempt: int64(d.Attempt())}
	resume(d, &claim)
	if t.cfg.Fingerprint != nil {
		claim.Fingerprint = t.cfg.Fingerprint(msg)
	}
	fact := factOf(key, d, msg)
	began := time.Now()
	for n := 1; ; n++ {
		a := &attempt{transactor: t, msg: msg, claim: claim}
		err := t.runner.InTx(msg.Context(), func(ctx context.Context, tx dbtx.Tx) error { return a.inTx(ctx, tx, next) })
		if !a.again {
			return a.settle(err, fact)
		}
		left := t.cfg.BusyWait - time.Since(began)
		if left <= 0 {
			fact.Kind = event.Busy
			t.cfg.Observe.Emit(fact)
			return nil, failure.Unavailable(err)
		}
		// The handler has not run, and no transaction is open during the wait.
		if err := backoff.Wait(msg.Context(), min(left, busyPolicy.Delay(n))); err != nil {
			return nil, fmt.Errorf("wait for another delivery of the key: %w", err)
		}
	}
}

// attempt is one transaction.
type attempt struct {
	*transactor
	msg   *message.Message
	claim Claim

	rec      Record
	ran      bool // the handler was called
	again    bool // it was not, and a fresh transaction may fare better
	produced []*message.Message
}

// errNothing ends a transaction in which there is nothing to do.
var errNothing = errors.New("effect exists already")

func (a *attempt) inTx(ctx context.Context, tx dbtx.Tx, next message.HandlerFunc) (err error) {
	if a.rec, err = a.store.ClaimTx(ctx, tx, a.claim); err != nil {
		a.again = errors.Is(err, ErrContended)
		return fmt.Errorf("claim message: %w", err)
	}
	switch a.rec.Verdict {
	case Busy:
		a.again = true
		return &busyError{key: a.claim.Key}
	case Finished:
		if err := unresumed(a.claim, a.rec); err != nil {
			return err
		}
		return errNothing
	case Mismatch:
		return &MismatchError{Key: a.claim.Key}
	default: // ours
	}
	a.ran = true
	own := a.msg.Context()
	a.msg.SetContext(withFence(ctx, a.rec.Attempt))
	defer a.msg.SetContext(own) //nolint:contextcheck // own is what ctx was made from
	if a.produced, err = next(a.msg); err != nil {
		return err
	}
	if len(a.produced) > 0 && !a.cfg.AllowProduced {
		return failure.Permanent(fmt.Errorf("%w: publish them through an outbox within it", ErrProduced))
	}
	return nil
}

// settle turns the end of the transaction into the end of the message.
func (a *attempt) settle(err error, fact event.Event) ([]*message.Message, error) {
	observe := a.cfg.Observe
	if a.ran {
		fact.Attempt = int(a.rec.Attempt)
		if a.rec.Verdict == Takeover {
			fact.Kind = event.Takeover
			observe.Emit(fact)
		}
		if err != nil {
			return nil, ended(a.msg.Context(), err)
		}
		fact.Kind = event.Handled
		observe.Emit(fact)
		return a.produced, nil
	}
	ctx := a.msg.Context()
	switch {
	case errors.Is(err, errNothing):
		delivery.From(ctx).Replay()
		fact.Kind = event.Duplicate
		observe.Emit(fact)
		return nil, nil
	case err == nil:
		return nil, errors.New("run transaction: the runner did not call its function")
	case errors.Is(err, ErrMismatch), errors.Is(err, ErrInvalid):
		return nil, failure.Permanent(err)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
	default:
		// The handler has not run, so no attempt is spent, whatever it was.
		return nil, failure.Unavailable(err)
	}
}

// ended names what database/sql hides: a transaction that it rolled back because
// the message's context has ended only says that it is over.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
