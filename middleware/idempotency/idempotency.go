package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// The seam that a store of one's own implements. Package memorystore,
// redisstore and sqlstore, in the folders below, have ours.
type (
	// Store keeps records that are claimed before an effect and completed after it.
	Store = idemstore.Store
	// TxStore keeps records in the transaction of the effect.
	TxStore = idemstore.TxStore
	// Key names a record: consumer and handler, and the message's own key.
	Key = idemstore.Key
	// Claim is the wish to run.
	Claim = idemstore.Claim
	// Record is the answer to it.
	Record = idemstore.Record
	// Verdict is what a Record says.
	Verdict = idemstore.Verdict
	// State is where a record stands.
	State = idemstore.State
	// Transition moves a record that nobody holds.
	Transition = idemstore.Transition
)

// The verdicts of a claim.
const (
	Won      = idemstore.Won
	Takeover = idemstore.Takeover
	Mine     = idemstore.Mine
	Busy     = idemstore.Busy
	Finished = idemstore.Finished
	Mismatch = idemstore.Mismatch
)

// The states of a record.
const (
	Absent     = idemstore.Absent
	Processing = idemstore.Processing
	Released   = idemstore.Released
	Done       = idemstore.Done
	Parked     = idemstore.Parked
	Dead       = idemstore.Dead
)

// What errors.Is finds in the errors of stores and middlewares.
var (
	// ErrLeaseLost says that another delivery has taken the record. It is also
	// the cause (context.Cause) with which New cancels the handler's context.
	ErrLeaseLost = idemstore.ErrLeaseLost
	// ErrConflict says that a Transition found another state or epoch.
	ErrConflict = idemstore.ErrConflict
	// ErrInvalid says that a store was asked for what it cannot keep.
	ErrInvalid = idemstore.ErrInvalid
	// ErrContended says that a TxStore lost a race which a fresh transaction can win.
	ErrContended = idemstore.ErrContended
	// ErrBusy says that another delivery of the same key is at work. It is
	// marked as unavailable: the message goes back and spends no attempt.
	ErrBusy = failure.ErrBusy
	// ErrMismatch says that the key is known with another payload. It is
	// marked as permanent.
	ErrMismatch = errors.New("idempotency key is known with another payload")
	// ErrInDoubt says that a former delivery ended without saying whether its
	// effect happened; only TakeoverPolicy Park returns it. It is marked as
	// permanent.
	ErrInDoubt = errors.New("a former delivery ended in doubt")
	// ErrProduced says that a handler within Transaction returned messages,
	// which nobody would publish in its transaction. It is marked as permanent.
	ErrProduced = errors.New("handler in a transaction returned messages")
)

// MismatchError is the ErrMismatch of a message.
type MismatchError struct{ Key Key }

func (e *MismatchError) Error() string { return keyed(e.Key, ErrMismatch) }

// Unwrap returns ErrMismatch.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// InDoubtError is the ErrInDoubt of a message. Its record stays claimed: a
// redelivery does not run either, but is busy until the lease ends and in doubt
// again after it.
type InDoubtError struct {
	Key     Key
	Attempt int64 // of the claim that found the doubt
}

func (e *InDoubtError) Error() string { return keyed(e.Key, ErrInDoubt) }

// Unwrap returns ErrInDoubt.
func (e *InDoubtError) Unwrap() error { return ErrInDoubt }

type busyError struct{ key Key }

func (e *busyError) Error() string { return keyed(e.key, ErrBusy) }
func (e *busyError) Unwrap() error { return ErrBusy }

// The key itself is left out: it comes from the message's metadata.
func keyed(k Key, err error) string { return fmt.Sprintf("handler %q: %v", k.Handler, err) }

// Tx is an open transaction, whatever library it belongs to.
type Tx = dbtx.Tx

// Runner runs a function in a transaction of its own.
type Runner = dbtx.Runner

// DB returns the Runner of database/sql; opts may be nil for the database's
// defaults. On MySQL and MariaDB, READ COMMITTED avoids the gap locks of the
// default level, under which unrelated new keys can wait for each other.
func DB(db *sql.DB, opts *sql.TxOptions) Runner { return dbtx.DB(db, opts) }

// Native returns the transaction that a handler within Transaction runs in, as
// its library's own type: Native[*sql.Tx](msg.Context()).
func Native[T any](ctx context.Context) (T, bool) { return dbtx.Native[T](ctx) }

type fenceKey struct{}

// Fence returns the fencing number of the claim under which ctx's handler runs:
// 1 for the first claim of a record, and more for each later one, so that a
// resource that keeps the highest number it has seen can refuse a late writer.
// Within Transaction it counts committed claims and the attempts of this
// delivery; an attempt that was rolled back left nothing to be refused. It
// reports false outside a handler of this package.
func Fence(ctx context.Context) (int64, bool) {
	n, ok := ctx.Value(fenceKey{}).(int64)
	return n, ok
}

func withFence(ctx context.Context, attempt int64) context.Context {
	return context.WithValue(ctx, fenceKey{}, attempt)
}
