package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// TxLacks is what a store within the handler's transaction cannot have: the
// transaction is the claim, so nothing of it is seen before the commit, and
// nothing is left of it after a rollback.
var TxLacks = []Feature{Leases, OwnToken, AttemptKept, Outage}

// Tx shows a TxStore as a Store: a claim begins a transaction, Complete puts the
// result into the record and commits, Release rolls it back. Close ends what the cases left open.
func Tx(db *sql.DB, opts *sql.TxOptions, store idemstore.ResultTxStore) *TxAdapter {
	return &TxAdapter{db: db, opts: opts, store: store, open: map[claimed]*sql.Tx{}}
}

type claimed struct {
	key   idemstore.Key
	token string
}

// TxAdapter is what Tx returns.
type TxAdapter struct {
	db    *sql.DB
	opts  *sql.TxOptions
	store idemstore.ResultTxStore

	mu   sync.Mutex
	open map[claimed]*sql.Tx
}

// Close rolls back what is open.
func (a *TxAdapter) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, tx := range a.open {
		errs = append(errs, tx.Rollback())
	}
	clear(a.open)
	return errors.Join(errs...)
}

// Claim begins a transaction and claims in it.
func (a *TxAdapter) Claim(ctx context.Context, c idemstore.Claim) (rec idemstore.Record, err error) {
	tx, err := a.begin(ctx)
	if err != nil {
		return rec, err
	}
	rec, err = a.store.ClaimTx(ctx, dbtx.SQL(tx), c)
	if err != nil || (rec.Verdict != idemstore.Won && rec.Verdict != idemstore.Takeover) {
		return rec, errors.Join(err, tx.Rollback())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[claimed{must(c.Key), c.Token}] = tx
	return rec, nil
}

func (a *TxAdapter) begin(ctx context.Context) (*sql.Tx, error) {
	// The transaction outlives the call, so it must not end with its context.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tx, err := a.db.BeginTx(context.WithoutCancel(ctx), a.opts)
	if err != nil {
		return nil, failure.Unavailable(fmt.Errorf("begin: %w", err))
	}
	return tx, nil
}

// must is k normalized; the store has accepted it before.
func must(k idemstore.Key) idemstore.Key {
	k, _ = k.Normalize()
	return k
}

func (a *TxAdapter) take(k idemstore.Key, token string) (*sql.Tx, error) {
	if _, err := k.Normalize(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := claimed{must(k), token}
	tx := a.open[at]
	delete(a.open, at)
	if tx == nil {
		return nil, idemstore.ErrLeaseLost
	}
	return tx, nil
}

// Extend knows whether the transaction is open.
func (a *TxAdapter) Extend(_ context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if _, err := k.Normalize(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[claimed{must(k), token}] == nil {
		return idemstore.ErrLeaseLost
	}
	return idemstore.CheckTerm("lease", lease)
}

// Complete stores the result and commits; once.
func (a *TxAdapter) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := idemstore.CheckTerm("retention", retention); err != nil {
		return err
	}
	tx, err := a.take(k, token)
	if err != nil {
		return err
	}
	if err := a.store.ResultTx(ctx, dbtx.SQL(tx), k, result); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Release rolls back.
func (a *TxAdapter) Release(_ context.Context, k idemstore.Key, token string) error {
	tx, err := a.take(k, token)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

// Transition moves the record in a transaction of its own.
func (a *TxAdapter) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	tx, err := a.begin(ctx)
	if err != nil {
		return err
	}
	if err := a.store.TransitionTx(ctx, dbtx.SQL(tx), k, t); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
