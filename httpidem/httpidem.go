package httpidem

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// The seam is that of package idempotency, so that one store serves HTTP and
// consumers.
type (
	// Store keeps records that are claimed before an effect and completed after it.
	Store = idemstore.Store
	// TxStore keeps records, and responses, in the transaction of the effect;
	// sqlstore is one.
	TxStore = idemstore.ResultTxStore
	// Tx is an open transaction, whatever library it belongs to.
	Tx = dbtx.Tx
	// Runner runs a function in a transaction of its own.
	Runner = dbtx.Runner
)

// What errors.Is finds in the errors of this package.
var (
	// ErrLeaseLost is the cause (context.Cause) with which a handler's context is
	// cancelled once another request has taken its record or its lock.
	ErrLeaseLost = idemstore.ErrLeaseLost
	// ErrInProgress says that another request with the same token is running.
	ErrInProgress = errors.New("another request is in progress")
	// ErrLocked says that another request holds the lock.
	ErrLocked = errors.New("resource is locked")
	// ErrTokenUnknown says that a token was never issued to this operator for this
	// operation, or that its time is over.
	ErrTokenUnknown = errors.New("token is unknown or has expired")
	// ErrInDoubt says that a former request ended without saying whether its
	// effect happened; only TakeoverRefuse makes it.
	ErrInDoubt = errors.New("a former request ended in doubt")
	// ErrKey says that an Idempotency-Key header is malformed.
	ErrKey = errors.New("malformed idempotency key")
)

// DB returns the Runner of database/sql; opts may be nil for the database's
// defaults. On MySQL and MariaDB, READ COMMITTED avoids the gap locks of the
// default level, under which unrelated new keys can wait for each other.
func DB(db *sql.DB, opts *sql.TxOptions) Runner { return dbtx.DB(db, opts) }

// SQL wraps a *sql.Tx for OnConflict.
func SQL(tx *sql.Tx) Tx { return dbtx.SQL(tx) }

// Native returns the transaction that a handler behind NewTx runs in, as its
// library's own type: Native[*sql.Tx](r.Context()).
func Native[T any](ctx context.Context) (T, bool) { return dbtx.Native[T](ctx) }

// running is what a handler's context knows of its record.
type running struct {
	fence       int64
	notExecuted atomic.Bool
}

type (
	runningKey struct{}
	lockKey    struct{}
)

// Fence returns the fencing number of the record under which a handler runs: 1
// for the first run of a key or token, and more for each later one as long as
// the record is kept, so that a resource can refuse the late writer: UPDATE …
// SET fence = n … WHERE fence < n. It reports false outside of such a handler.
// For the number of a Lock see LockFence.
func Fence(ctx context.Context) (int64, bool) {
	if r, ok := ctx.Value(runningKey{}).(*running); ok {
		return r.fence, true
	}
	return 0, false
}

// LockFence returns the fencing number of the innermost Lock under which a
// handler runs; it grows with each holder, see LockConfig.Retention.
func LockFence(ctx context.Context) (int64, bool) {
	n, ok := ctx.Value(lockKey{}).(int64)
	return n, ok
}

// NotExecuted says, on behalf of the handler, that the request was refused before
// it had any effect: it was invalid, or in conflict with something else. Its
// response is sent and not stored, whatever its status, and the next request with
// the key or token runs. After an earlier run of the same key that failed, the
// key stays bound to its payload. It does nothing outside of a guarded handler.
func NotExecuted(ctx context.Context) {
	if r, ok := ctx.Value(runningKey{}).(*running); ok {
		r.notExecuted.Store(true)
	}
}
