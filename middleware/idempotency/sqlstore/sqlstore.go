// Package sqlstore keeps idempotency records in the table sluicegate_inbox of
// PostgreSQL, MySQL, MariaDB or SQLite.
package sqlstore

import (
	stdsql "database/sql"

	"github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// The kinds of database, for Config.Dialect.
const (
	PostgreSQL = sqldialect.PostgreSQL
	MySQL      = sqldialect.MySQL // and MariaDB
	SQLite     = sqldialect.SQLite
)

// Config configures New; see its fields.
type Config = sql.Config

// Store keeps records in a table; it is safe for concurrent use. It serves
// both middlewares: idempotency.Transaction with the handler's transaction,
// idempotency.New with statements of its own.
type Store = sql.Store

var (
	_ idempotency.Store   = (*Store)(nil)
	_ idempotency.TxStore = (*Store)(nil)
)

// New returns a store on db, which stays the caller's to close. The tables are
// made by the migrations of Sluicegate. Nothing is asked of the database yet.
func New(db *stdsql.DB, cfg Config) (*Store, error) { return sql.New(db, cfg) }
