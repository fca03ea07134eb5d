package sqlqueue

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Database says which database it is.
type Database struct {
	// Driver is the scheme in Capabilities.
	Driver  string
	Dialect sqldialect.Dialect
	Names   sqldialect.Names
	// Identity is the same for what is the same database with the same
	// settings: its users in this process share a pool.
	Identity string
	// Open opens the pool. Like sql.Open it does not connect.
	Open func() (*sql.DB, error)
	// Guarantee is the sentence in Capabilities.
	Guarantee string
}

// driver is one user of a database.
type driver struct {
	Options
	database Database
	logger   *slog.Logger
	hub      *hub
	store    *store
}

// Open returns a broker in the database. It does not connect.
func Open(db Database, o Options, logger *slog.Logger) (broker.Driver, error) {
	h, err := join(db)
	if err != nil {
		return nil, err
	}
	return &driver{Options: o, database: db, logger: logger, hub: h, store: newStore(h.db, db, o.migrate)}, nil
}

// Capabilities says what a queue in SQL can do.
func (d *driver) Capabilities() broker.Capabilities {
	return broker.Capabilities{
		Driver:            d.database.Driver,
		Guarantee:         d.database.Guarantee,
		Order:             broker.OrderByKey,
		Groups:            true,
		KeyConcurrency:    true,
		OldMessages:       true,
		Persistent:        true,
		SplitProcesses:    d.database.Dialect != sqldialect.SQLite,
		RedeliveryHorizon: d.horizon,
		MaxMessageBytes:   d.maxBytes,
	}
}

// Check asks the database for a sign of life.
func (d *driver) Check(ctx context.Context) error {
	var one int
	return d.store.db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Initialize makes the tables, the topic and the group exist.
func (d *driver) Initialize(ctx context.Context, topic, group string) error {
	_, _, err := d.store.register(ctx, topic, group)
	return err
}

// Close leaves the pool, which its last user closes.
func (d *driver) Close(context.Context) error { return d.hub.leave() }

// tables are the quoted names.
type tables struct{ topic, group, message, pending, lease string }

func newTables(d sqldialect.Dialect, n sqldialect.Names) tables {
	return tables{
		topic: n.Table(d, schema.QueueTopic), group: n.Table(d, schema.QueueGroup),
		message: n.Table(d, schema.QueueMessage), pending: n.Table(d, schema.QueuePending),
		lease: n.Table(d, schema.Lease),
	}
}
