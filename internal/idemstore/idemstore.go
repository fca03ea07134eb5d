// Package idemstore is the seam under idempotency: one record for each
// (handler, key), claimed before the effect and completed after it.
//
// The drivers are in the folders below: memory, redis, sql. Package storetest
// holds the conformance suite that each of them passes.
//
// Every driver goes by the rules in Row, or is measured against them.
//
//	absent ──claim──▶ processing ──complete──▶ done
//	   ▲                 │ ▲
//	   │ release         │ │ claim after the lease (takeover, attempt + 1)
//	released ◀───────────┘ │
//	   └───────claim───────┘        released/absent ──transition──▶ parked, dead
//
// Who holds the task of a parked message claims with Claim.Resume; for everybody
// else the record stays parked meanwhile:
//
//	parked, absent, released ──claim to resume──▶ resumed ──complete──▶ done
//	   ▲                                             │ claim to resume after the lease
//	   └──────────────────release────────────────────┘
package idemstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
)

// Key names one record.
type Key struct {
	Handler string // consumer and handler, such as "shop/stock"
	ID      string // business key, CloudEvents source and id, or UUID; never empty
}

// State is where a record stands; its text is what SQL's status column holds.
type State string

// The states. Absent is that of a key without a record.
const (
	Absent     State = ""
	Processing State = "processing" // claimed, the lease runs
	Released   State = "released"   // an attempt failed, the next may claim
	Done       State = "done"       // the effect is there
	Parked     State = "parked"     // waits in the schedule, duplicates do not run
	// Resumed is a state of rows only: parked, and claimed by who holds the task.
	// Its owner's Record says Processing, everybody else's Parked.
	Resumed State = "resumed"
	Dead    State = "dead" // dead-lettered, duplicates do not run
)

// Verdict is the answer to a claim.
type Verdict uint8

// The verdicts.
const (
	// Won: the caller owns the record; Record.Attempt counts the claims.
	Won Verdict = iota + 1
	// Takeover is Won on a record whose former owner's lease had ended.
	Takeover
	// Mine: the record was already claimed with this token, by a claim whose
	// answer was lost; the caller owns it, and the attempt is the same.
	Mine
	// Busy: another token holds the lease for Record.RetryIn longer.
	Busy
	// Finished: Record.State is Done, Parked or Dead; for Done, Record.Result
	// is what Complete stored.
	Finished
	// Mismatch: the key is known with another fingerprint.
	Mismatch
)

// Claim is the wish to run.
type Claim struct {
	Key Key
	// Token names this delivery; a claim repeated with it finds itself.
	Token string
	// Fingerprint of the payload; empty compares with nothing.
	Fingerprint string
	// Lease is how long the record is the caller's without an Extend.
	Lease time.Duration
	// Retention is how long an unfinished record is kept after its lease, so
	// that the attempt number survives.
	Retention time.Duration
	// Attempt is the least attempt number that the claim gets, for a caller
	// that counts attempts which leave no record (those of a transaction that
	// was rolled back). 0 leaves the counting to the store.
	Attempt int64
	// Resume says that the caller holds the task of a parked message: the claim
	// also wins a record that is Parked. What it wins is parked again by a
	// Release, or by the end of the lease: a claim without Resume finds it
	// Finished and Parked all the while, as a duplicate does not run. The record
	// lives at least as long as it would have without the claim.
	Resume bool
}

// Record is what a claim found.
type Record struct {
	Verdict Verdict
	State   State
	Attempt int64         // 1 for the first claim; a fencing number: it only grows
	Epoch   int64         // 0, and one more for each redrive
	Result  []byte        // Finished and Done: as completed
	RetryIn time.Duration // Busy: what is left of the lease
}

// Transition moves a record that nobody holds: into parked or dead, or, for a
// redrive, into released and the next epoch. The attempt number stays.
type Transition struct {
	// From holds the states allowed now. Absent allows a missing record;
	// Processing allows one whose lease has ended, never a live one.
	From      []State       // a record to resume whose lease has ended is both Processing and Parked
	To        State         // Released, Parked or Dead
	Epoch     int64         // the epoch that the record must have now; 0 for a missing one
	NextEpoch bool          // add one to the epoch
	Retention time.Duration // 0 keeps the record until it is moved again
}

// ErrLeaseLost says that the record is not the caller's (any more): the lease
// ended and another claimed it, or the record is gone.
var ErrLeaseLost = errors.New("lease lost")

// ErrInvalid says that an argument cannot be stored; nothing was asked of the store.
var ErrInvalid = errors.New("invalid argument")

// ErrContended says that a race was lost which a fresh transaction can win:
// a deadlock, a serialisation failure, a record that changed meanwhile.
var ErrContended = errors.New("lost a race for the record")

// ErrConflict says that a Transition found another state or epoch.
var ErrConflict = errors.New("record is in another state")

// StateError is an ErrConflict that says which state was found. The stores that keep
// Rows return it.
type StateError struct{ State State }

func (e *StateError) Error() string {
	return fmt.Sprintf("%v: it is %s", ErrConflict, describe(e.State))
}

// Unwrap returns ErrConflict.
func (e *StateError) Unwrap() error { return ErrConflict }

// Store keeps the records. Every method is atomic in the store, judges time by
// the store's own clock, and is safe for concurrent use. An error of the store
// itself, as opposed to ErrLeaseLost and ErrConflict, means that what happened
// is unknown; it is marked as unavailable where the store could not be reached.
type Store interface {
	// Claim asks for the record.
	Claim(ctx context.Context, c Claim) (Record, error)
	// Extend lengthens the lease of the owner, or returns ErrLeaseLost.
	Extend(ctx context.Context, k Key, token string, lease time.Duration) error
	// Complete marks the owner's record done with a result that duplicates
	// receive, kept for retention. Completing again with the same token is nil.
	// It succeeds after the lease as long as nobody else has claimed; otherwise
	// it returns ErrLeaseLost.
	Complete(ctx context.Context, k Key, token string, result []byte, retention time.Duration) error
	// Release gives an unfinished record up, keeping its attempt number; one that
	// was claimed to resume is parked again. It returns ErrLeaseLost where the record is not the caller's.
	Release(ctx context.Context, k Key, token string) error
	// Transition moves the record of k, or returns ErrConflict.
	Transition(ctx context.Context, k Key, t Transition) error
}

// TxStore keeps its records in the transaction of the caller: record and
// effect commit together, or neither does.
type TxStore interface {
	// ClaimTx inserts the record of c as done within tx. Won and Takeover mean
	// that it is there once tx commits. Busy means that another open
	// transaction, or the owner of a live lease, has the key; Finished and
	// Mismatch are those of Store.Claim. Lease and Token of c are not used. An
	// error leaves tx fit for a rollback only; after one that wraps
	// ErrContended, a fresh transaction can win.
	ClaimTx(ctx context.Context, tx dbtx.Tx, c Claim) (Record, error)
	// TransitionTx is Store.Transition within tx.
	TransitionTx(ctx context.Context, tx dbtx.Tx, k Key, t Transition) error
}

// ResultTxStore is a TxStore whose records can hold a result.
type ResultTxStore interface {
	TxStore
	// ResultTx puts the result, which duplicates receive, into the record that the
	// caller's ClaimTx has won within the same tx. Where there is no record that a
	// ClaimTx has made, it returns ErrLeaseLost.
	ResultTx(ctx context.Context, tx dbtx.Tx, k Key, result []byte) error
}

// BatchTxStore is a TxStore that can claim many records at once.
type BatchTxStore interface {
	TxStore
	// ClaimBatchTx is ClaimTx for claims that differ in the ID of their key, each
	// from all others, and in their fingerprint; their Attempt is not used. The
	// answers are in the order of the claims: Won, Finished, or no verdict at
	// all (0), where the record asks for a ClaimTx in a transaction of its own.
	ClaimBatchTx(ctx context.Context, tx dbtx.Tx, claims []Claim) ([]Record, error)
}
