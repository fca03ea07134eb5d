package schedule

import (
	"context"
	"database/sql"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Config configures New.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect sqldialect.Dialect
	// Schema (PostgreSQL) or database (MySQL) of the table. Default: the
	// connection's own.
	Schema string
	// Prefix of the table's name. Default: "sluicegate_".
	Prefix string
	// Now is the clock, for tests. Default: the database's.
	Now func() time.Time
}

// Schedule keeps tasks in one table. It is safe for concurrent use. An error
// that says that the database could not be reached is marked
// failure.Unavailable.
type Schedule struct {
	t sqltable.Tables // its one mark is {now}
	q queries
}

// New returns a schedule on db, whose migrations must have run.
func New(db *sql.DB, cfg Config) (*Schedule, error) {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, n)
	if err != nil {
		return nil, err
	}
	return &Schedule{t: sqltable.New(db, d, n, cfg.Now, nil), q: newQueries(d, n.Table(d, schema.Task), n.Plain(schema.Task))}, nil
}

// inTx runs fn in a short transaction of the schedule's own, again where that
// loses a race.
func (s *Schedule) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return s.t.InTx(ctx, func(ctx context.Context, _ dbtx.Tx) error {
		tx, _ := dbtx.Native[*sql.Tx](ctx)
		return fn(tx)
	})
}
