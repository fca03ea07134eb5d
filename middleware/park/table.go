package park

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Queue is the queue of the schedule that parked messages are in.
const Queue = parked.Queue

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// Executor runs a statement in the caller's transaction; *sql.Tx is one.
type Executor = dbtx.Executor

// Spec is a message that is to be parked, as a task of the schedule.
type Spec = schedule.Spec

// TableConfig of SQL. The zero value is ready to use.
type TableConfig struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the table.
	// Default: the connection's own.
	Schema string
	// Prefix begins the table's name. Default "sluicegate_".
	Prefix string
	// Now is the clock of due times and leases, for tests. Default: the database's.
	Now func() time.Time
}

// Table keeps parked messages in the table sluicegate_task. It is safe for
// concurrent use.
type Table struct {
	db       *sql.DB
	schedule *schedule.Schedule
}

// SQL returns a table on db. It must exist: it is made by the migrations of this
// module. Nothing is read or written here.
func SQL(db *sql.DB, cfg TableConfig) (*Table, error) {
	s, err := schedule.New(db, schedule.Config{Dialect: cfg.Dialect, Schema: cfg.Schema, Prefix: cfg.Prefix, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("configure table of parked messages: %w", err)
	}
	return &Table{db: db, schedule: s}, nil
}

// Add stores a message in a transaction of its own. It answers false where an
// unfinished task of the handler and key is there already.
func (t *Table) Add(ctx context.Context, s Spec) (bool, error) {
	return t.schedule.Add(ctx, s) //nolint:wrapcheck // it says what it did
}

// AddTx is Add in the caller's transaction.
func (t *Table) AddTx(ctx context.Context, tx Executor, s Spec) (bool, error) {
	return t.schedule.AddTx(ctx, tx, s) //nolint:wrapcheck // it says what it did
}

// RedriveTx is AddTx for a message that is redriven: where its former task stands for
// it as a dead letter behind which others of its ordering key wait (Policy.AfterDead, Await), that
// one begins again, in its place before them. It answers false where the message is
// parked otherwise.
func (t *Table) RedriveTx(ctx context.Context, tx dbtx.Tx, s Spec) (bool, error) {
	if added, err := t.AddTx(ctx, tx, s); added || err != nil {
		return added, err
	}
	return t.schedule.ReplaceTx(ctx, tx, s, func(former schedule.Task) bool { //nolint:wrapcheck // it says what it did
		state, err := decodeState(former.State)
		return err == nil && state.Awaiting
	})
}

func (t *Table) pending(ctx context.Context, scope, group string) (bool, error) {
	return t.schedule.Pending(ctx, nil, Queue, scope, group) //nolint:wrapcheck // it says what it did
}
