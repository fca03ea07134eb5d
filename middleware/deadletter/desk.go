package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// The defaults and bounds of a DeskConfig.
const (
	DefaultRetention = 7 * 24 * time.Hour
	DefaultBatch     = 100
)

// What errors.Is finds in what a Desk refuses. Nothing has been changed then.
var (
	// ErrInvalid: a field of a request cannot be used.
	ErrInvalid = errors.New("invalid request")
	// ErrNoMatch: a filter selects no letter.
	ErrNoMatch = errors.New("no dead letter matches")
	// ErrStatus: a letter was redriven already.
	ErrStatus = errors.New("dead letter is not dead")
	// ErrConfirm: the confirmation is missing, or is not of this selection as it
	// is now.
	ErrConfirm = errors.New("not confirmed")
)

// ErrCancelled says that somebody cancelled an action; what it had done is kept.
var ErrCancelled = errors.New("action was cancelled")

// Tasks is where a redriven message waits for its handler: the schedule, with
// its table in the letters' database.
type Tasks interface {
	// RedriveTx adds a task within tx, or answers false where an unfinished one with
	// its queue, target and key is there. One that stands for the redriven letter
	// itself may begin again instead, as park's does behind which others wait.
	RedriveTx(ctx context.Context, tx dbtx.Tx, spec schedule.Spec) (added bool, err error)
}

// Inbox holds the records of what was handled, in the letters' database.
type Inbox interface {
	TransitionTx(ctx context.Context, tx dbtx.Tx, k idemstore.Key, t idemstore.Transition) error
}

// Records holds the records of what was handled, elsewhere.
type Records interface {
	Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error
}

// DeskConfig of a Desk. The zero value is for handlers without idempotency.
type DeskConfig struct {
	// Inbox holds the idempotency records, in the letters' database: they are
	// moved in one transaction with letter and task. Default: none.
	Inbox Inbox
	// Records holds them elsewhere. They are moved before the transaction of
	// letter and task commits; after a crash in between the letter is still
	// dead, and can be redriven again. Default: none. Not together with Inbox.
	Records Records
	// Retention is how long an effect is remembered; a letter that is older is
	// stale: a duplicate of it may have run since. Default 7 days.
	Retention time.Duration
	// Key is the handlers' idempotency key, to check that an edit leaves it as it
	// is. Default: the metadata that the default key is taken from must not change.
	Key func(*message.Message) (string, error)
	// Batch is how many letters are redriven, removed or read at a time, within 1
	// and 1000; of large ones fewer, as they are held to 8 MiB. Default 100.
	Batch int
}

// Desk decides about dead letters: it redrives, edits, removes and imports them,
// and writes down who did it. It is safe for concurrent use, in any number of
// processes. It owns no goroutine.
type Desk struct {
	store  *SQLStore
	tasks  Tasks
	cfg    DeskConfig
	runner dbtx.Runner
}

// NewDesk returns a desk for the letters in store, whose messages are handed
// back as tasks.
func NewDesk(store *SQLStore, tasks Tasks, cfg DeskConfig) (*Desk, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if store == nil {
		bad("store: is nil")
	}
	if tasks == nil {
		bad("tasks: is nil")
	}
	if cfg.Inbox != nil && cfg.Records != nil {
		bad("DeskConfig.Inbox, DeskConfig.Records: set one of them, or none")
	}
	if cfg.Retention < 0 {
		bad("DeskConfig.Retention: %v is negative", cfg.Retention)
	}
	if cfg.Batch < 0 || cfg.Batch > MaxLimit {
		bad("DeskConfig.Batch: %d is not within 1 and %d", cfg.Batch, MaxLimit)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure desk of dead letters: %w", err)
	}
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	if cfg.Batch == 0 {
		cfg.Batch = DefaultBatch
	}
	return &Desk{store: store, tasks: tasks, cfg: cfg, runner: dbtx.DB(store.db, store.dialect.TxOptions())}, nil
}

// Letters returns the store, to list and count.
func (d *Desk) Letters() *SQLStore { return d.store }
